"""
The service of `twistd docxy`, for `twistd -y docxy.tac`.

It has no flags: settings come from the environment (DOCXY_CONFIG and others)
and from /etc/docxy/docxy.toml.
"""

from twisted.application.service import Application

from docxy.tap import Options, makeService

application = Application("docxy")
makeService(Options()).setServiceParent(application)
