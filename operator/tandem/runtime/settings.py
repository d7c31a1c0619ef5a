"""Configuration of the operator: flags, environment (TANDEM_*) and defaults, in one typed model."""

import socket
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from tandem.cluster.lease import LeaseTimes
from tandem.domain.timing import Timing


class Settings(BaseSettings):
    """Options of `tandem run`. Each is a flag (--bind-seconds) and an environment variable (TANDEM_BIND_SECONDS)."""

    model_config = SettingsConfigDict(env_prefix="TANDEM_", frozen=True, extra="ignore", use_attribute_docstrings=True)

    kubeconfig: Annotated[
        str | None, Field(description="kubeconfig file; unset: the pod's service account, or KUBECONFIG.")
    ] = None
    context: Annotated[str | None, Field(description="Context of the kubeconfig; unset: the current one.")] = None
    listen: Annotated[str, Field(description="Address of /healthz, /readyz and /metrics.")] = "0.0.0.0"
    port: Annotated[int, Field(ge=0, le=65535, description="Port of /healthz, /readyz and /metrics.")] = 8080
    log_format: Annotated[
        Literal["auto", "json", "console"], Field(description="auto: console on a terminal, JSON elsewhere.")
    ] = "auto"
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Field(description="Least severe line that is logged.")
    ] = "info"
    workers: Annotated[int, Field(ge=1, le=256, description="Objects reconciled at the same time.")] = 32
    writes: Annotated[int, Field(ge=1, le=500, description="Writes to the API server under way at the same time.")] = 50
    request_timeout: Annotated[float, Field(gt=0, description="Seconds until an API call is given up.")] = 30.0
    watch_silence: Annotated[
        float, Field(gt=0, description="Seconds of silence after which a watch is opened anew.")
    ] = 75.0
    resync_seconds: Annotated[
        float, Field(gt=0, description="Seconds between comparisons of all objects with the server.")
    ] = 300.0
    decisions_file: Annotated[
        str | None,
        Field(
            description="File to which every placement decision is appended with all that it was made from, a line of JSON"
            " each, to be replayed elsewhere. It holds names of nodes and objects, and grows fast. Unset: none."
        ),
    ] = None
    status_delay: Annotated[
        float,
        Field(ge=0, description="Seconds over which what merely gets on is gathered into one look and one status."),
    ] = 0.5
    policy_delay: Annotated[
        float, Field(ge=0, description="Seconds over which changes are gathered into one status of each policy.")
    ] = 5.0

    start_seconds: Annotated[
        float, Field(ge=0, description="Seconds for which a start puts up with an API server that refuses or fails.")
    ] = 60.0

    lease_namespace: Annotated[
        str | None, Field(description="Namespace of the Lease by which one of several replicas acts; unset: no Lease.")
    ] = None
    lease_name: Annotated[str, Field(min_length=1, description="Name of the Lease.")] = "tandem"
    lease_seconds: Annotated[
        float, Field(gt=0, description="Seconds after which a standby takes a Lease that is not renewed.")
    ] = LeaseTimes.duration
    lease_renew_seconds: Annotated[
        float, Field(gt=0, description="Seconds after a renewal in which the leader may write.")
    ] = LeaseTimes.renew
    lease_retry_seconds: Annotated[
        float, Field(gt=0, description="Seconds between renewals, and between a standby's looks.")
    ] = LeaseTimes.retry
    replica_name: Annotated[
        str, Field(min_length=1, description="Name of this replica in the Lease, in events and in the User-Agent.")
    ] = socket.gethostname()

    user_limit: Annotated[int, Field(ge=0, description="Restarts granted for failures of the program.")] = (
        Timing.user_limit
    )
    infra_limit: Annotated[int, Field(ge=0, description="Restarts granted for lost pods, nodes, devices.")] = (
        Timing.infra_limit
    )
    backoff_seconds: Annotated[float, Field(ge=0, description="First pause before a restart; it doubles.")] = (
        Timing.backoff
    )
    max_backoff_seconds: Annotated[float, Field(ge=0, description="Longest pause before a restart.")] = (
        Timing.max_backoff
    )
    bind_seconds: Annotated[float, Field(ge=0, description="Seconds within which a gang must have nodes.")] = (
        Timing.bind
    )
    image_pull_seconds: Annotated[
        float, Field(ge=0, description="Seconds devices are held for an image that cannot be pulled.")
    ] = Timing.image_pull
    partial_create_seconds: Annotated[float, Field(ge=0, description="Seconds a gang may stay half made.")] = (
        Timing.partial_create
    )
    collect_seconds: Annotated[
        float, Field(ge=0, description="Seconds after a failure to wait for its first cause.")
    ] = Timing.collect
    hold_off_seconds: Annotated[
        float, Field(ge=0, description="First pause of a variant that was refused; it doubles.")
    ] = Timing.hold_off
    starvation_seconds: Annotated[
        float, Field(ge=0, description="Seconds a gang waits before those behind it are held back for it.")
    ] = Timing.starvation
    dwell_seconds: Annotated[
        float, Field(ge=0, description="Seconds a run that fails stays with the variant it has come to.")
    ] = Timing.dwell
    moves_per_hour: Annotated[
        int, Field(ge=1, le=4, description="How often in an hour a run may go from one variant to another.")
    ] = Timing.moves_per_hour
    node_lost_seconds: Annotated[float, Field(ge=0, description="Seconds pods on a NotReady node are waited for.")] = (
        Timing.node_lost
    )
    look_again_seconds: Annotated[
        float, Field(gt=0, description="Seconds until a waiting object is looked at again.")
    ] = Timing.look_again
    never_fits_seconds: Annotated[
        float, Field(ge=0, description="Seconds nodes must have been too small before NeverFits is told.")
    ] = Timing.never_fits
    provision_seconds: Annotated[
        float, Field(ge=0, description="Seconds within which a gang must have nodes that an autoscaler adds.")
    ] = Timing.provision
    cleanup_seconds: Annotated[
        float, Field(ge=0, description="Seconds the pods of an ended run are kept where it does not say.")
    ] = Timing.cleanup

    @model_validator(mode="after")
    def _leave_time_to_renew(self) -> Self:
        if not self.lease_retry_seconds < self.lease_renew_seconds < self.lease_seconds:
            raise ValueError("lease_retry_seconds, lease_renew_seconds and lease_seconds must grow in this order")
        return self

    def lease_times(self) -> LeaseTimes:
        """The times of the Lease."""
        return LeaseTimes(self.lease_seconds, self.lease_renew_seconds, self.lease_retry_seconds)

    def timing(self) -> Timing:
        """The times that decisions depend on."""
        return Timing(
            user_limit=self.user_limit,
            infra_limit=self.infra_limit,
            backoff=self.backoff_seconds,
            max_backoff=self.max_backoff_seconds,
            bind=self.bind_seconds,
            image_pull=self.image_pull_seconds,
            partial_create=self.partial_create_seconds,
            collect=self.collect_seconds,
            hold_off=self.hold_off_seconds,
            starvation=self.starvation_seconds,
            dwell=self.dwell_seconds,
            moves_per_hour=self.moves_per_hour,
            node_lost=self.node_lost_seconds,
            look_again=self.look_again_seconds,
            never_fits=self.never_fits_seconds,
            provision=self.provision_seconds,
            cleanup=self.cleanup_seconds,
        )
