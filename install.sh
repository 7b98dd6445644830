#!/bin/sh
# Install docxy on a server, upgrade it, or remove it: docs/install.rst, and `usage` below.
#
# What flags and variables do not say is asked for at the terminal, and all of it is judged before
# anything changes. What fails after that is undone. It can run twice.
set -eu

usage() {
    cat <<'END'
usage: install.sh [options]               install docxy, or set it up anew
       install.sh --upgrade [options]     another package or source; settings stay
       install.sh --uninstall [--purge]   remove docxy; --purge: its settings, keys and state too

Each option with a value is a variable too: --public-name is DOCXY_INSTALL_PUBLIC_NAME.

what to install:
  --package FILE|URL    docxy's Debian package
  --source FOLDER|FILE|URL
                        without a package: a checkout or an sdist, for a virtual environment in
                        /usr/local/lib/docxy; by default the checkout that this script is in
  --sha256 SUM          what the file has to be; a URL (https) needs it

how to set it up:
  --mode MODE           alone   docxy does TLS itself, on the ports 443 and 80
                        nginx   behind nginx on this machine, which is set up too
                        cdn     the origin of a CDN, with TLS on port 443
  --public-name HOST    what clients call the mirror: mirror.example.com
  --cert FILE           certificate chain, PEM
  --key FILE            its private key, PEM
  --acme yes            in their place, alone only: docxy obtains its certificate by itself
  --acme-agree-tos yes  you agree to the terms of service of Let's Encrypt, or of the authority below
  --acme-email ADDRESS  for the account there
  --acme-directory URL  another authority than Let's Encrypt
  --acme-ca FILE        the root that its directory's TLS is signed with, where no system knows it
  --trusted NETWORKS    cdn: the networks that it asks from, with spaces between them
  --upstreams LIST      registries, NAME or NAME=URL, with spaces between them; docker.io by default
  --allow NETWORKS      only clients in these may pull; all may by default
  --secret-path-file F  a file with the secret first part of the mirror's URLs in it

  --yes                 ask nothing (DOCXY_INSTALL_YES=yes)
  --help                this text

Exit status: 0 fine; 1 nothing was changed, or all was undone but for what is said; 3 docxy serves,
but docxy check finds something wrong.
END
}

OPTIONS='package source sha256 mode public-name cert key acme acme-agree-tos acme-email acme-directory acme-ca trusted
upstreams allow secret-path-file'

ETC=/etc/docxy
STATE=/var/lib/docxy
LOGS=/var/log/docxy
DEFAULTS=/etc/default/docxy
VENV=/usr/local/lib/docxy
COMMAND=/usr/local/bin/docxy
UNIT=/etc/systemd/system/docxy.service
INIT=/etc/init.d/docxy
ROTATE=/etc/logrotate.d/docxy
SITE=/etc/nginx/conf.d/docxy.conf
MARK='# Written by install.sh.'

say() { printf 'install.sh: %s\n' "$*"; }
die() {
    printf 'install.sh: %s\n' "$*" >&2
    exit 1
}
has() { command -v "$1" >/dev/null 2>&1; }
under_systemd() { [ -d /run/systemd/system ]; }

# What is said, and what is asked

variable() { printf '%s' "$1" | tr 'a-z-' 'A-Z_'; }

read_options() {
    action=install purge=no tty=yes
    [ "${DOCXY_INSTALL_YES:-}" != yes ] || tty=no
    for name in $OPTIONS; do
        upper=$(variable "$name")
        eval "$upper=\${DOCXY_INSTALL_$upper:-}"
    done
    while [ $# != 0 ]; do
        case $1 in
        --help | -h) usage && exit 0 ;;
        --upgrade) action=upgrade ;;
        --uninstall) action=uninstall ;;
        --purge) purge=yes ;;
        --yes) tty=no ;;
        *)
            name=${1#--}
            # shellcheck disable=SC2086 # one a line
            printf '%s\n' $OPTIONS | grep -qxF -e "$name" || die "no such option: $1; see install.sh --help"
            [ $# != 1 ] || die "$1: its value is missing"
            eval "$(variable "$name")=\$2"
            shift
            ;;
        esac
        shift
    done
    [ "$purge" = no ] || [ "$action" = uninstall ] || die "--purge: goes with --uninstall"
}

# The terminal, whatever standard input is: as `curl ... | sh` this script is.
find_terminal() {
    if [ "$tty" = yes ] && (: <>/dev/tty) 2>/dev/null; then exec 3<>/dev/tty; else tty=no; fi
}

# Set variable $1 to the answer to question $2, or to default $3, where it is not set.
ask() {
    eval "reply=\${$1:-}"
    if [ -z "$reply" ] && [ "$tty" = yes ]; then
        printf '%s%s: ' "$2" "${3:+ [$3]}" >&3
        IFS= read -r reply <&3 || die "no answer; nothing was changed"
    fi
    eval "$1=\${reply:-\$3}"
}

# The same where there has to be an answer; $3 is the option.
must() {
    while :; do
        ask "$1" "$2" ''
        eval "reply=\$$1"
        [ -z "$reply" ] || return 0
        [ "$tty" = yes ] || break
    done
    missing="$missing $3"
}

ask_program() {
    case $0 in
    */install.sh | install.sh)
        here=$(CDPATH='' cd "$(dirname "$0")" && pwd)
        [ -n "$PACKAGE$SOURCE" ] || ! [ -f "$here/requirements/acme.txt" ] || SOURCE=$here
        ;;
    esac
    [ -n "$SOURCE" ] || must PACKAGE "docxy's Debian package, a file or a URL" --package
    case $PACKAGE$SOURCE in https://*) must SHA256 'SHA-256 of that file' --sha256 ;; esac
}

ask_settings() {
    ask MODE 'How is it reached: alone, nginx (on this machine) or cdn' alone
    case $MODE in alone | nginx | cdn) ;; *) die "--mode: is alone, nginx or cdn, not $MODE" ;; esac
    must PUBLIC_NAME 'What clients call the mirror, like mirror.example.com' --public-name
    ask_certificate
    [ "$MODE" != cdn ] || must TRUSTED 'Networks that the CDN asks from, with spaces between them' --trusted
    ask UPSTREAMS 'Registries to mirror, with spaces between them' docker.io
    ask ALLOW 'Networks whose clients may pull, with spaces between them; empty is all' ''
}

all_said() { [ -z "$missing" ] || die "missing, and nobody is here to ask:$missing; see install.sh --help"; }

ask_certificate() {
    if [ "$MODE" = alone ] && [ -z "$CERT$KEY$ACME" ]; then
        ask CERT 'File of the certificate chain, PEM; empty is one from Let'\''s Encrypt' ''
        [ -n "$CERT" ] || [ "$tty" = no ] || ACME=yes
    fi
    if [ "$ACME" = yes ]; then
        [ "$MODE" = alone ] || die "--acme: goes with --mode alone; give --cert and --key"
        [ -z "$CERT$KEY" ] || die "--acme: stands in the place of --cert and --key; leave one of them out"
        must ACME_AGREE_TOS 'Do you agree to its terms of service (letsencrypt.org/repository): yes or no' --acme-agree-tos
        [ "${ACME_AGREE_TOS:-yes}" = yes ] || die "--acme-agree-tos: without your yes there is no certificate"
        ask ACME_EMAIL 'Your address for the account there; may be empty' ''
        return
    fi
    must CERT 'File of the certificate chain, PEM' --cert
    must KEY 'File of its private key, PEM' --key
}

# Only what names, addresses, paths and URLs are made of: it is written into files as it is.
plain() {
    case $2 in
    *[!A-Za-z0-9._~:/=@%+\ -]*) die "$1: has a character that does not belong there: $2" ;;
    esac
}

readable() { { [ -f "$2" ] && [ -r "$2" ]; } || die "$1: $2 is no file that can be read"; }

judge() {
    case $PUBLIC_NAME in
    *[!A-Za-z0-9.-]* | .* | -*) die "--public-name: is a host name, without scheme and path, not $PUBLIC_NAME" ;;
    esac
    SECRET=
    if [ -n "$SECRET_PATH_FILE" ]; then
        readable --secret-path-file "$SECRET_PATH_FILE"
        SECRET=$(head -n 1 "$SECRET_PATH_FILE")
        case $SECRET in *[!A-Za-z0-9._~-]* | '') die "--secret-path-file: holds no word of letters, digits and -._~" ;; esac
    fi
    for name in cert key acme-ca; do
        eval "path=\$$(variable "$name")"
        [ -z "$path" ] || readable "--$name" "$path"
    done
    [ "$MODE" != nginx ] || CERT=$(realpath -s "$CERT") KEY=$(realpath -s "$KEY")
    for name in cert key acme-ca acme-email acme-directory trusted upstreams allow; do
        eval "plain --$name \"\$$(variable "$name")\""
    done
    judge_ports
}

# Whether a program that is not the service's listens on TCP port $1: nothing else on Debian is always there to say so.
taken() {
    cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk -v "port=$(printf ':%04X$' "$1")" -v "own=$(id -u docxy 2>/dev/null)" \
        '$4 == "0A" && $2 ~ port && $8 != own { found = 1 } END { exit !found }'
}

judge_ports() {
    case $MODE in alone) ports='443 80' ;; cdn) ports=443 ;; nginx) return 0 ;; esac
    for port in $ports; do
        # The site that nginx is about to lose may be what has it there.
        [ "$port $had_site" != '443 yes' ] || continue
        ! taken "$port" || die "--mode $MODE: another program listens on port $port; stop it, as systemctl disable --now nginx does, or see --mode nginx"
    done
}

# What is installed, and what is to be

# Whether file $1 is there and of this script, or there and not.
ours() { [ -e "$1" ] && grep -qxF -e "$MARK" "$1"; }
foreign() { [ -e "$1" ] && ! ours "$1"; }
linked() { [ "$(readlink "$COMMAND")" = "$VENV/bin/docxy" ]; }

look_around() {
    was=none
    [ ! -d "$VENV" ] || was=venv
    [ "$(dpkg-query -W -f '${db:Status-Status}' docxy 2>/dev/null)" != installed ] || was=package
    had_etc=no
    [ ! -e "$ETC" ] || had_etc=yes
    had=
    for path in "$STATE" "$LOGS" "$DEFAULTS"; do [ ! -e "$path" ] || had="$had $path"; done
    [ "$was" != none ] || [ ! -d "$STATE" ] || find "$STATE" ! -type l -printf '%m %U:%G %p\n' >"$scratch/owners"
    had_site=no
    ! ours "$SITE" || had_site=yes
    served=no
    [ "$was" = none ] || ! service_does status docxy >/dev/null 2>&1 || served=yes
}

# Debian packages, as far as their commands or files are missing.
need() {
    has apt-get || die "needed, and this is no Debian to install it on: $*"
    say "installing Debian packages: $*"
    apt_get update || say 'apt-get update failed; going on with the lists at hand'
    apt_get install --no-install-recommends "$@" || die "apt-get could not install: $*"
    stays="$stays, the Debian packages that were needed ($*)"
}

# Its words are worth reading when it fails.
apt_get() {
    DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=600 \
        -o Dpkg::Options::=--force-confold "$@" >"$scratch/apt.log" 2>&1 </dev/null || {
        cat "$scratch/apt.log" >&2
        return 1
    }
}

# Put the file that option $1 names, at $2, a path or a URL, into file $3, and see that it is the right one.
fetch() {
    case $2 in
    https://*)
        has curl || need curl ca-certificates
        say "fetching $2"
        curl --fail --silent --show-error --location --proto '=https' --output "$3" "$2" || die "$1: cannot be fetched"
        ;;
    *://*) die "$1: is a file, or a URL that begins with https://, not $2" ;;
    *)
        readable "$1" "$2"
        cp "$2" "$3"
        ;;
    esac
    [ -n "$SHA256" ] || return 0
    printf '%s  %s\n' "$SHA256" "$3" | sha256sum --check --status 2>/dev/null ||
        die "$1: its SHA-256 is not $SHA256 but $(sha256sum "$3" | cut -d ' ' -f 1)"
}

# Nothing changes here but that Debian packages come which are needed to look.
look_at_program() {
    if [ -n "$PACKAGE" ]; then
        kind=package DOCXY=/usr/bin/docxy HAND_OVER=/usr/lib/docxy/hand-over
        [ -z "$SOURCE" ] || die "--package and --source: leave one of them out"
        has apt-get || die "--package: this is no Debian; give --source"
        fetch --package "$PACKAGE" "$scratch/docxy.deb"
        [ "$(dpkg-deb --field "$scratch/docxy.deb" Package 2>/dev/null)" = docxy ] || die "--package: is no package of docxy"
    else
        kind=venv DOCXY=$VENV/bin/docxy HAND_OVER=$VENV/hand-over
        look_at_source
    fi
    [ "$was" = none ] || [ "$was" = "$kind" ] ||
        die "docxy is installed the other way, as a $was; install.sh --uninstall first, its settings stay"
    # What a removed package has left of its init script does no harm to the package.
    service=$UNIT
    [ "$kind" = package ] || under_systemd || service=$INIT
    [ "$was" = package ] || ! foreign "$service" || die "$service is there, and not from here; move it away"
    [ "$kind" = package ] || linked || ! ls -d "$COMMAND" >/dev/null 2>&1 ||
        die "$COMMAND is there, and not from here; move it away"
}

look_at_source() {
    if [ -d "$SOURCE" ]; then
        [ -z "$SHA256" ] || die "--sha256: goes with a file or a URL, and --source $SOURCE is a folder"
    else
        fetch --source "$SOURCE" "$scratch/sdist"
        mkdir "$scratch/sources"
        tar -xzf "$scratch/sdist" --no-same-owner --strip-components=1 -C "$scratch/sources" 2>/dev/null ||
            die "--source: is neither a folder nor a .tar.gz"
        SOURCE=$scratch/sources
    fi
    [ -f "$SOURCE/requirements/acme.txt" ] || die "--source: is no checkout and no sdist of docxy; give --package or another"
    { has python3 && python3 -c 'import venv, ensurepip' 2>/dev/null; } || need python3 python3-venv
    python3 -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' ||
        die "docxy needs Python 3.11 to 3.14, and python3 is $(python3 --version)"
}

install_package() {
    step='installing the package'
    say "installing $(dpkg-deb --show "$scratch/docxy.deb")"
    apt_get update || say 'apt-get update failed; going on with the lists at hand'
    apt_get --allow-downgrades install "$scratch/docxy.deb" || die "apt-get could not install it"
}

# A new environment beside the old one, which serves until the new one is whole.
install_venv() {
    step='making the virtual environment'
    say "installing into $VENV"
    rm -rf "$VENV.new" "$VENV.old"
    build_venv </dev/null || die "the virtual environment could not be made"
    [ ! -d "$VENV" ] || mv "$VENV" "$VENV.old"
    mv "$VENV.new" "$VENV"
    ln -sf "$DOCXY" "$COMMAND"
    make_service
}

# The wheel is built of a copy by pinned tools: what pip would fetch to build with has no hashes.
build_venv() {
    pip="$scratch/tools/bin/python3 -m pip --disable-pip-version-check --quiet"
    pinned='--require-hashes --only-binary=:all:'
    mkdir "$scratch/copy"
    # shellcheck disable=SC2086
    (cd "$SOURCE" && cp -R docxy twisted LICENSE README.rst pyproject.toml setup.py "$scratch/copy") &&
        python3 -m venv "$scratch/tools" &&
        python3 -m venv --without-pip "$VENV.new" &&
        $pip install $pinned -r "$SOURCE/requirements/build.txt" &&
        $pip wheel --no-deps --no-build-isolation --wheel-dir "$scratch" "$scratch/copy" &&
        $pip --python "$VENV.new/bin/python3" install --no-compile $pinned -r "$SOURCE/requirements/acme.txt" &&
        $pip --python "$VENV.new/bin/python3" install --no-compile --no-deps --no-index "$scratch"/docxy-*.whl &&
        sed -i "1s|^#!.*|#!$VENV/bin/python3|" "$VENV.new/bin/twistd" "$VENV.new/bin/docxy" &&
        install -m 755 "$SOURCE/packaging/hand-over" "$VENV.new" &&
        python3 -m compileall -q -s "$VENV.new" -p "$VENV" "$VENV.new/lib" &&
        "$VENV.new/bin/python3" "$VENV.new/bin/twistd" --help >/dev/null
}

# The package's own, with other paths.
make_service() {
    step='making the user and the service'
    getent group docxy >/dev/null || groupadd --system docxy
    getent passwd docxy >/dev/null || useradd --system --gid docxy --home-dir "$STATE" --no-create-home \
        --shell /usr/sbin/nologin docxy
    install -d -o docxy -g docxy -m 750 "$STATE"
    install -d "$ETC"
    install -d -o root -g docxy -m 750 "$ETC/tls"
    if under_systemd; then
        { echo "$MARK" && sed "s|/usr/lib/docxy|$VENV|; /^Documentation=/d" "$SOURCE/debian/docxy.service"; } >"$scratch/service"
        replace "$scratch/service" "$UNIT" root 644
        systemctl daemon-reload
        systemctl --quiet enable docxy
    else
        sed "s|/usr/lib/docxy|$VENV|; 1a $MARK" "$SOURCE/debian/docxy.init" >"$scratch/init"
        mkdir -p "${INIT%/*}"
        replace "$scratch/init" "$INIT" root 755
        { echo "$MARK" && cat "$SOURCE/debian/docxy.logrotate"; } >"$scratch/rotate"
        [ ! -d "${ROTATE%/*}" ] || replace "$scratch/rotate" "$ROTATE" root 644
        ! has update-rc.d || update-rc.d docxy defaults
    fi
}

# Files, each of which can be put back

# Take over file $1 as $2, of group $3 and mode $4. What docxy reads and is another now wants a restart.
replace() {
    case $2 in "$ETC"/*) cmp -s "$1" "$2" || changed=yes ;; esac
    remember "$2"
    install -o root -g "$3" -m "$4" "$1" "$2.new"
    mv "$2.new" "$2"
}

remember() {
    touched="$touched $1"
    [ ! -e "$1" ] || { mkdir -p "$scratch/before${1%/*}" && cp -p "$1" "$scratch/before$1"; }
}

put_back() {
    for file in $touched; do
        if [ -e "$scratch/before$file" ]; then cp -p "$scratch/before$file" "$file"; else rm -f "$file"; fi
    done
}

# Somebody may have written there since, or before.
keep_copy() {
    if [ -e "$2" ] && ! cmp -s "$1" "$2"; then
        kept=$2.$(date +%Y%m%d-%H%M%S)
        touched="$touched $kept"
        cp -p "$2" "$kept"
        say "kept what $2 was: $kept"
    fi
}

# The settings

list() {
    text=
    for one in $1; do text="$text${text:+, }\"$one\""; done
    printf '[%s]' "$text"
}

settings() {
    printf '%s\n# What else can be set: docs/settings.rst\n\n[server]\n' "$MARK"
    case $MODE in
    alone) printf 'listen = ["ssl:443"]\nredirect = ["tcp:80"]\n' ;;
    nginx) printf 'listen = ["tcp:5001:interface=127.0.0.1"]\nredirect = []\ntrusted_proxies = ["127.0.0.0/8"]\n' ;;
    cdn) printf 'listen = ["ssl:443"]\nredirect = []\ntrusted_proxies = %s\n' "$(list "$TRUSTED")" ;;
    esac
    printf 'public_url = ["https://%s"]\n' "$PUBLIC_NAME"
    [ -z "$ALLOW" ] || printf 'allow = %s\n' "$(list "$ALLOW")"
    [ -z "$SECRET" ] || printf 'secret_path = "%s"\n' "$SECRET"
    if [ "$ACME" = yes ]; then
        printf '\n[acme]\ndomains = ["%s"]\nagree_tos = true\n' "$PUBLIC_NAME"
        [ -z "$ACME_EMAIL" ] || printf 'email = "%s"\n' "$ACME_EMAIL"
        [ -z "$ACME_DIRECTORY" ] || printf 'directory = "%s"\n' "$ACME_DIRECTORY"
        [ -z "$ACME_CA" ] || printf 'ca = "%s"\n' "$ETC/acme-ca.pem"
    elif [ "$MODE" != nginx ]; then
        printf '\n[tls]\ncert = "%s"\nkey = "%s"\n' "$ETC/tls/fullchain.pem" "$ETC/tls/privkey.pem"
    fi
    for one in $UPSTREAMS; do
        printf '\n[[upstream]]\nname = "%s"\n' "${one%%=*}"
        case $one in *=*) printf 'url = "%s"\n' "${one#*=}" ;; esac
    done
    printf '\n[admin]\nlisten = "unix:/run/docxy/admin.sock:mode=660"\n'
}

write_settings() {
    step='writing the settings'
    settings >"$scratch/docxy.toml"
    [ "$had_etc" = no ] || keep_copy "$scratch/docxy.toml" "$ETC/docxy.toml"
    if [ "$ACME" = yes ]; then
        [ -z "$ACME_CA" ] || replace "$ACME_CA" "$ETC/acme-ca.pem" docxy 644
    elif [ "$MODE" != nginx ]; then
        replace "$CERT" "$ETC/tls/fullchain.pem" docxy 640
        replace "$KEY" "$ETC/tls/privkey.pem" docxy 640
    fi
    replace "$scratch/docxy.toml" "$ETC/docxy.toml" docxy 640
    docxy client-config >/dev/null || die "these settings will not do"
}

# What a docxy that root ran by hand has left there, its ACME account too, is the service's from now on.
take_state_over() {
    step='giving the state to the user docxy'
    chown -R docxy:docxy "$STATE"
}

give_state_back() {
    [ ! -e "$scratch/owners" ] || while read -r mode owner path; do
        [ ! -e "$path" ] || [ -L "$path" ] || { chown "$owner" "$path" && chmod "$mode" "$path"; }
    done <"$scratch/owners"
}

# nginx

site() {
    printf '%s\n# docxy behind nginx, as docs/running.rst explains it.\n\nserver {\n    listen 443 ssl;\n' "$MARK"
    [ ! -s /proc/net/if_inet6 ] || printf '    listen [::]:443 ssl;\n'
    printf '    server_name %s;\n\n' "$PUBLIC_NAME"
    printf '    ssl_certificate     "%s";\n    ssl_certificate_key "%s";\n' "$CERT" "$KEY"
    cat <<'END'

    access_log off;
    gzip off;
    large_client_header_buffers 4 64k;

    location / {
        proxy_pass http://127.0.0.1:5001;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_buffering off;
        proxy_request_buffering off;
        proxy_max_temp_file_size 0;
        proxy_read_timeout 300s;
        send_timeout 300s;
    }
}
END
}

set_up_nginx() {
    step='setting nginx up'
    has nginx || need nginx-light
    site >"$scratch/site"
    keep_copy "$scratch/site" "$SITE"
    replace "$scratch/site" "$SITE" root 644
    nginx -t 2>"$scratch/nginx.log" || {
        cat "$scratch/nginx.log" >&2
        die "nginx refuses $SITE"
    }
}

leave_nginx() {
    [ "$had_site" = yes ] || return 0
    step='taking the site away from nginx'
    remember "$SITE"
    rm "$SITE"
    tell_nginx
}

# Where it does not run, it is started for its own mode alone.
tell_nginx() {
    if service_does status nginx >/dev/null 2>&1; then
        service_does reload nginx
    elif [ "$MODE" = nginx ]; then
        service_does start nginx
    fi
} >/dev/null

# The service

service_does() {
    if under_systemd; then systemctl "$1" "$2"; else "/etc/init.d/$2" "$1"; fi
}

# The operator's command, as the service runs: by the service's variables, and by none of ours.
docxy() {
    # shellcheck disable=SC2016 # the inner shell expands it
    env -i PATH="$PATH" LANG=C.UTF-8 sh -c 'set -a
        [ ! -r /etc/default/docxy ] || . /etc/default/docxy
        exec "$@"' sh "$DOCXY" "$@"
}

# A package hands over to its new version by itself. What was handed over runs from a folder that undoing takes away.
hand_over() {
    if [ "$kind" = venv ]; then
        replaced=yes
        "$HAND_OVER" 2>/dev/null
    else
        docxy health 2>/dev/null
    fi
}

serve() {
    step='starting the service'
    if [ "$changed" = yes ] || ! hand_over; then
        replaced=yes
        service_does restart docxy >"$scratch/restart.log" 2>&1 || {
            cat "$scratch/restart.log" >&2
            ! under_systemd || journalctl --quiet --unit docxy --lines 5 --output cat >&2
            die "docxy does not start"
        }
    fi
    tries=30
    until docxy health 2>"$scratch/health.log"; do
        tries=$((tries - 1))
        [ "$tries" != 0 ] || die "docxy does not serve: $(cat "$scratch/health.log")"
        sleep 1
    done
}

await_certificate() {
    say 'waiting for the certificate, up to two minutes'
    tries=120
    until find "$STATE/acme" -name certificate.pem 2>/dev/null | grep -q .; do
        tries=$((tries - 1))
        [ "$tries" != 0 ] || { say 'there is none yet; docxy goes on trying, and its log says what is wrong' && return; }
        sleep 1
    done
}

# How it ends

# What was not there before goes, what was comes back, and what cannot is said.
undo() {
    set +e
    printf 'install.sh: stopped while %s; undoing what was done\n' "$step" >&2
    rm -rf "$VENV.new"
    if [ "$was" = none ]; then
        remove_program
        stays="$stays, the user docxy, and what Debian keeps of packages"
    elif [ "$was" = package ]; then
        stays="$stays, docxy $(dpkg-query -W -f '${Version}' docxy)"
    elif [ -d "$VENV.old" ]; then
        rm -rf "$VENV" && mv "$VENV.old" "$VENV"
    fi
    put_back
    [ "$was" != none ] || [ "$had_etc" = yes ] || erase_ours
    give_state_back
    ! under_systemd || systemctl daemon-reload
    [ "$had_site" = no ] || tell_nginx
    if [ "$served" = yes ]; then
        { [ "$replaced" = no ] && docxy health; } || service_does restart docxy
    fi
    printf 'install.sh: all is as it was%s\n' "${stays:+, but that there may be: ${stays#, }}" >&2
} >/dev/null

ended() {
    code=$?
    trap '' HUP INT TERM
    trap - EXIT
    if [ "$code" != 0 ] && [ -n "$step" ]; then undo; fi
    rm -rf "$scratch"
    exit "$code"
}

# The program and its service; settings, keys and state stay.
remove_program() {
    if dpkg-query -W docxy >/dev/null 2>&1; then apt_get remove docxy; fi
    if ours "$UNIT" || ours "$INIT"; then
        service_does stop docxy >/dev/null 2>&1 || say 'docxy did not run'
        ! under_systemd || systemctl --quiet disable docxy
    fi
    for file in "$UNIT" "$INIT" "$ROTATE"; do
        ! ours "$file" || rm "$file"
    done
    if under_systemd; then systemctl daemon-reload; elif has update-rc.d; then update-rc.d docxy remove; fi
    rm -rf "$VENV" "$VENV.old" /run/docxy
    ! linked || rm "$COMMAND"
}

erase() {
    if dpkg-query -W docxy >/dev/null 2>&1; then apt_get purge docxy; fi
    rm -rf "$ETC" "$STATE" "$LOGS"
}

# But not what was there before: purging the package would take that too.
erase_ours() {
    whole=yes
    for path in $had; do mv -T "$path" "$path.kept" || whole=no; done
    if [ "$whole" = yes ]; then erase; else rm -rf "$ETC"; fi
    for path in $had; do [ ! -e "$path.kept" ] || mv -T "$path.kept" "$path"; done
}

do_install() {
    ask_program
    ask_settings
    all_said
    judge
    look_at_program
    [ "$MODE" != nginx ] || ! foreign "$SITE" || die "$SITE is there, and not from here; move it away"
    "install_$kind"
    write_settings
    take_state_over
    if [ "$MODE" = nginx ]; then set_up_nginx; else leave_nginx; fi
    serve
    [ "$MODE" != nginx ] || tell_nginx
    step=
    rm -rf "$VENV.old"
    [ "$ACME" != yes ] || await_certificate
    say 'docxy serves; what docxy check says of it:'
    wrong=no
    docxy check || wrong=yes
    say 'for your clients:'
    docxy client-config all
    [ "$wrong" = no ] || {
        say 'docxy serves, but docxy check has found something wrong: see above' >&2
        exit 3
    }
}

do_upgrade() {
    [ "$was" != none ] || die "docxy is not installed here; install.sh without --upgrade installs it"
    MODE=
    ask_program
    all_said
    look_at_program
    "install_$kind"
    [ "$served" = no ] || serve
    step=
    rm -rf "$VENV.old"
    said=' and serves'
    [ "$served" = yes ] || said=', and does not run, as before'
    say "$("$DOCXY" --version) is installed$said"
}

do_uninstall() {
    remove_program
    if [ "$had_site" = yes ]; then
        rm "$SITE"
        tell_nginx
    fi
    if [ "$purge" = yes ]; then
        erase
        say 'docxy is removed with its settings, keys and state'
    else
        say "docxy is removed; $ETC and $STATE stay"
    fi
}

main() {
    read_options "$@"
    [ "$(id -u)" = 0 ] || die "it installs a service: run it as root"
    umask 022
    step='' touched='' stays='' missing='' changed=no replaced=no
    scratch=$(mktemp -d)
    trap ended EXIT
    trap 'exit 1' HUP INT TERM
    find_terminal
    look_around
    "do_$action"
}

# On the last line: a script that came in part does nothing.
main "$@"
