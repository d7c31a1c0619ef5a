"""Where a served model comes from, and whether anything can load it from there.

An engine fetches by itself what its hub holds (a repository's bare name) and, with a streaming loader, what an object store
holds. Sources: docs.vllm.ai, models/extensions/runai_model_streamer; docs.sglang.io, advanced_features/object_storage. The
operator never fetches, so any other URI is refused with what to write instead.
"""

import re

from tandem.api.inference_service import ModelSource
from tandem.api.reasons import Reason
from tandem.domain import headline
from tandem.domain.headline import Headline
from tandem.domain.render.problem import claim_missing
from tandem.domain.serving.view import ServiceView

OBJECT_STORES = ("s3", "gs", "az")
REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*(/[A-Za-z0-9_.-]+)?(:[A-Za-z0-9_.-]+)?")
"""A repository of a hub, with or without its owner; after a colon a file's kind, as engines write it for GGUF."""
URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)")
MENDS = {
    "hf": "write the repository's bare name, org/name",
    "oci": "mount the image as a volume by template and name its path in args",
    "pvc": "use model.claim",
}


def problem(view: ServiceView) -> Headline | None:
    """What a person has to mend before every variant's model can be loaded."""
    for variant in view.variants:
        found = _problem(view, variant.model) if variant.model is not None else None
        if found is not None:
            return found
    return None


def _problem(view: ServiceView, source: ModelSource) -> Headline | None:
    if (source.claim is None) == (source.uri is None):
        # Stored past the schema, or with a source that only a newer operator knows.
        return headline.blocked(Reason.INVALID_SPEC, "model: set exactly one of claim and uri")
    if source.claim is not None:
        claim = source.claim.name
        return claim_missing(claim, view.service.namespace) if claim not in view.claims else None
    why = _no_loader(str(source.uri))
    return headline.blocked(Reason.NO_LOADER, why) if why is not None else None


def digest_input(source: ModelSource) -> str:
    """What of the source shapes replicas; a claim's stays as it was before there were URIs."""
    return f"{source.claim.name}/{source.claim.path or ''}" if source.claim else f"uri:{source.uri}"


def name(source: ModelSource) -> str:
    """The source for people: claim/path, or the URI."""
    if source.claim is None:
        return str(source.uri)
    return f"{source.claim.name}/{source.claim.path}" if source.claim.path else source.claim.name


def _no_loader(uri: str) -> str | None:
    found = URI.fullmatch(uri)
    scheme, rest = found.groups() if found else ("", uri)
    if rest and (scheme in OBJECT_STORES or (not scheme and REPOSITORY.fullmatch(rest))):
        return None
    stores = ", ".join(f"{store}://" for store in OBJECT_STORES)
    mend = MENDS.get(scheme, f"use a repository's name (org/name), {stores} or model.claim")
    return f"no engine loads {uri[:100]!r} by itself: {mend}"
