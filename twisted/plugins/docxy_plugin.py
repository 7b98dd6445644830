"""Names ``docxy.tap`` to twistd, by string, so that listing plugins imports none of docxy."""

from twisted.application.service import ServiceMaker

docxy = ServiceMaker(
    "docxy",
    "docxy.tap",
    "A mirror of container registries, for every container client.",
    "docxy",
)
