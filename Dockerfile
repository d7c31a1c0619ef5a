# The operator's image. BASE is any Debian 12 with Python 3.11 in its package index.
ARG BASE=debian:bookworm-slim

FROM $BASE AS python
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends python3.11 \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin

FROM python AS build
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends python3.11-venv
RUN python3.11 -m venv /opt/tandem
COPY requirements/run.txt /src/requirements/run.txt
RUN /opt/tandem/bin/pip install --no-cache-dir --require-hashes -r /src/requirements/run.txt
COPY pyproject.toml /src/
COPY operator /src/operator
# The README is no part of the image, so an edit of it does not build the image anew.
RUN touch /src/README.md \
 && /opt/tandem/bin/pip install --no-cache-dir --no-deps /src \
 && /opt/tandem/bin/pip uninstall --yes --quiet pip setuptools

FROM python
COPY --from=build /opt/tandem /opt/tandem
# kopf asks for the user's name, and the uid, which the cluster may change, has none in /etc/passwd.
ENV LOGNAME=tandem PATH=/opt/tandem/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
ENTRYPOINT ["tandem"]
CMD ["run"]
