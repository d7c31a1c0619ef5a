# The operator's image: Python, the operator and the libraries of both. No shell, no package manager, nothing else of Debian.
# BASE is any Debian 12 with Python 3.11 in its package index; nothing of it but files of the packages named below gets into the
# image. The same base, package index and sources give the same layer, to the byte.
ARG BASE=debian:bookworm-slim

FROM $BASE AS build
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends python3.11-venv
RUN python3.11 -m venv /opt/tandem
COPY requirements /src/requirements
RUN /opt/tandem/bin/pip install --no-cache-dir --no-compile --require-hashes --no-deps -r /src/requirements/build.txt -r /src/requirements/run.txt
COPY pyproject.toml /src/
COPY operator /src/operator
# The README is no part of the image, so an edit of it does not build the image anew. What is in the client for Kubernetes is
# mostly its typed API, which the operator never loads.
RUN touch /src/README.md \
 && /opt/tandem/bin/pip install --no-cache-dir --no-compile --no-deps --no-build-isolation /src \
 && /opt/tandem/bin/pip uninstall --yes --quiet setuptools pip \
 && cd /opt/tandem \
 && find bin -type f ! -name tandem -delete && rm -rf include lib64 share \
 && find lib/python3.11/site-packages/kubernetes -path '*/client/models/*.py' ! -name __init__.py -delete \
 && find lib/python3.11/site-packages/kubernetes -path '*/client/api/*.py' ! -name __init__.py -delete

# The whole root of the image. Scanners find the packages in status.d; licences are kept, other documentation is not.
ARG PACKAGES="base-files libbz2-1.0 libc6 libcrypt1 libexpat1 libffi8 libgcc-s1 liblzma5 libpython3.11-minimal \
    libpython3.11-stdlib libssl3 libstdc++6 libuuid1 media-types python3.11-minimal zlib1g"
ARG SOURCE_DATE_EPOCH=0
RUN mkdir -p /image/usr/lib /image/usr/lib64 /image/var/lib/dpkg/status.d /image/opt \
 && for package in $PACKAGES; do \
        dpkg-query --status $package > /image/var/lib/dpkg/status.d/$package \
        && dpkg-query --listfiles $package > /tmp/files || exit 1; \
        while read -r file; do [ ! -e "$file" ] || echo "$file"; done < /tmp/files > /tmp/present; \
        tar --create --no-recursion --exclude='*/gconv/*' --exclude='*/share/man/*' --exclude='*/share/lintian/*' \
            --exclude='*/share/doc/*/[!c]*' --exclude='*/changelog*' --files-from=/tmp/present 2>/dev/null | tar --extract --directory=/image; \
    done \
 && cp --archive /opt/tandem /image/opt/ \
 && cd /image/usr/lib/python3.11 && rm -rf lib2to3 pydoc_data distutils test \
 && cd lib-dynload && rm -f _curses* _dbm* _sqlite3* _tkinter* nis* readline* \
 && cd /image && ln -sf python3.11 usr/bin/python3 \
 && echo 'tandem:x:65532:65532::/:/nonexistent' > etc/passwd && echo 'tandem:x:65532:' > etc/group \
 && echo 'hosts: files dns' > etc/nsswitch.conf \
 && find . -name __pycache__ -prune -exec rm -rf {} + \
 && PYTHONHASHSEED=0 python3.11 -m compileall -q --invalidation-mode unchecked-hash -s /image -p / usr/lib/python3.11 opt/tandem/lib \
 && chroot . /opt/tandem/bin/tandem --help > /dev/null \
 && find . -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +

FROM scratch
COPY --from=build /image /
# kopf asks for the user's name, and the uid, which the cluster may change, has none in /etc/passwd.
ENV LOGNAME=tandem PATH=/opt/tandem/bin PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
ENTRYPOINT ["tandem"]
CMD ["run"]
