"""Where the API server is and how to prove who we are: in the pod's service account or a kubeconfig.

The only module that imports the Kubernetes client, and of it the configuration alone: tokens, exec plugins and OIDC are
its business, while its generated models would cost a multiple of our records in memory and time.
"""

import os
import ssl
from dataclasses import dataclass, field
from pathlib import Path

from kubernetes.aio.client import Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config
from kubernetes.aio.config.incluster_config import SERVICE_HOST_ENV_NAME, SERVICE_TOKEN_FILENAME


class CredentialsError(Exception):
    """No way to a cluster is configured."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """One endpoint and one identity. Files are named, not held."""

    server: str
    """URL without a slash at its end."""
    ca_path: str | None = None
    scheme: str | None = None
    """Of the Authorization header: Bearer or Basic."""
    token: str | None = field(default=None, repr=False)
    certificate_path: str | None = None
    private_key_path: str | None = None
    insecure: bool = False
    proxy: str | None = None
    tls_server_name: str | None = None

    def headers(self) -> dict[str, str]:
        """Headers that carry the identity."""
        return {"Authorization": f"{self.scheme} {self.token}"} if self.token else {}

    def ssl_context(self) -> ssl.SSLContext | None:
        """TLS settings; None for plain HTTP. Reads the files, so call it again after a rotation."""
        if not self.server.startswith("https:"):
            return None
        context = ssl.create_default_context(cafile=self.ca_path)
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.certificate_path:
            context.load_cert_chain(self.certificate_path, self.private_key_path)
        return context


async def load(kubeconfig: str | None = None, context: str | None = None) -> Credentials:
    """Credentials as they are now: of the pod's service account, unless a kubeconfig or context is named.

    Raises CredentialsError.
    """
    configuration = Configuration()
    try:
        if not (kubeconfig or context) and _in_cluster():
            load_incluster_config(configuration, try_refresh_token=False)  # type: ignore[no-untyped-call]
        else:
            path = _kubeconfig(kubeconfig)
            await load_kube_config(path, context, configuration, persist_config=False)  # type: ignore[no-untyped-call]
    except (ConfigException, OSError) as error:
        raise CredentialsError(f"cannot read the cluster's credentials: {error}") from error
    return _translate(configuration)


def _in_cluster() -> bool:
    return bool(os.environ.get(SERVICE_HOST_ENV_NAME)) and Path(SERVICE_TOKEN_FILENAME).is_file()


def _kubeconfig(named: str | None) -> str:
    paths = named or os.environ.get("KUBECONFIG") or "~/.kube/config"
    if not any(Path(path).expanduser().is_file() for path in paths.split(os.pathsep) if path):
        raise CredentialsError(
            f"no kubeconfig at {paths}: name one with --kubeconfig or KUBECONFIG, or run in a pod with a service account"
        )
    return paths


def _translate(configuration: Configuration) -> Credentials:
    scheme, _, token = (configuration.api_key.get("BearerToken") or "").strip().partition(" ")
    return Credentials(
        server=configuration.host.rstrip("/"),
        ca_path=configuration.ssl_ca_cert,
        scheme=scheme.capitalize() or None,
        token=token.strip() or None,
        certificate_path=configuration.cert_file,
        private_key_path=configuration.key_file,
        insecure=not configuration.verify_ssl,
        proxy=configuration.proxy,
        tls_server_name=configuration.tls_server_name,
    )
