"""The registry: catalogs and trained policies by the hash of their content, a directory each."""

import errno
import hashlib
import json
import re
import secrets
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from policy.catalog import NO_SEND, Catalog, load_catalog, parse_catalog
from policy.chain import Scale
from policy.crosses import DEFAULT_WORDS, CrossWords, crosses_of, words_of
from policy.errors import (
    CatalogError,
    DamagedModelError,
    UnknownRuleError,
    UnknownVersionError,
)
from policy.exploration import Exploration
from policy.files import sha256_of, sync, write_atomically
from policy.learned import Facts, Kind, Learned, facts_of, kind_of, read, write
from policy.policies import Fixed, Policy, Uniform
from policy.rollout import RolloutFile

MANIFEST = "manifest.json"
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


class Training(BaseModel):
    """What a policy was trained on: enough to never evaluate it on the same interactions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    catalog: str
    """Catalog whose rewards were learned."""
    until: str
    """Id of the last decision that was read, in hex; later ones are new to the policy."""
    held_out_share: float = Field(ge=0.0, lt=1.0)
    """Share of the subjects whose interactions were left for evaluation."""
    caution: float = Field(ge=1.0)
    """How much smaller than usual the steps of learning were."""
    erased_until_ms: int = Field(default=0, ge=0)
    """Unix time up to which whoever was erased was gone from the log that was read; 0 if nobody
    was. Later erasures concern what the policy may have learned."""


class Manifest(BaseModel):
    """What a registered policy is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = Field(default=1, alias="schema")
    version: str
    created_at: datetime
    kind: Kind = Kind.CHAIN
    exploration: Exploration
    interactions: int
    """How many it has learned from."""
    reward_low: float
    """The lowest reward that it learned from."""
    reward_high: float
    """The highest one."""
    reward_dispersion: float
    """How much they varied between the two: see `policy.chain.Scale`."""
    reward_start: float
    """Logit of their mean."""
    crosses: CrossWords = DEFAULT_WORDS
    """What a chain was taught to cross, whatever a catalog says later."""
    training: Training
    files: dict[str, str]
    """SHA-256 of each file, by name."""


class Registry:
    """Catalogs, policies and the rollout of one data directory."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self._models = data_dir / "models"
        self._catalogs = data_dir / "catalogs"
        self.rollout_file = RolloutFile(data_dir)
        self._read: dict[str, Catalog] = {}

    def add_catalog(self, text: str, source: str = "the catalog") -> Catalog:
        """Registers a catalog; where its file was damaged, it is written again.

        Raises:
            CatalogError: if it is not valid.
        """
        catalog = parse_catalog(text, source)
        path = self._catalogs / f"{catalog.version}.toml"
        if not _is_registered(path, catalog.version):
            write_atomically(path, text)
        return catalog

    def catalog(self, version: str) -> Catalog:
        """A registered catalog.

        Raises:
            UnknownVersionError: if there is none of this version.
            DamagedModelError: if its file does not mean what was registered.
        """
        if version not in self._read:
            path = self._catalogs / f"{version}.toml"
            if not _is_plain(version) or not path.is_file():
                raise UnknownVersionError(version)
            self._read[version] = _registered_catalog(path, version)
        return self._read[version]

    def register(self, learned: Learned, training: Training, created_at: datetime) -> Manifest:
        """Stores what was learned under the hash of its content.

        Returns:
            Its manifest; of the earlier registration, if the same content was registered before.

        Raises:
            DamagedModelError: if the earlier registration cannot be read.
        """
        self._models.mkdir(parents=True, exist_ok=True)
        scratch = self._models / f".new-{secrets.token_hex(8)}"
        scratch.mkdir()  # with the rights of all else here: who trains may not be who serves
        try:
            manifest = _write(learned, training, created_at, scratch)
            if not _moved(scratch, self._models / manifest.version):
                return self.manifest(manifest.version)
            sync(self._models)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return manifest

    def manifest(self, version: str) -> Manifest:
        """What a registered policy is.

        Raises:
            UnknownVersionError: if there is none of this version.
            DamagedModelError: if its manifest is not the registered one.
        """
        path = self._models / version / MANIFEST
        if not _is_plain(version) or not path.is_file():
            raise UnknownVersionError(version)
        content = path.read_bytes()
        try:
            manifest = Manifest.model_validate_json(content)
        except ValidationError:
            raise DamagedModelError(version, MANIFEST) from None
        if manifest.version != version or _content_version(json.loads(content)) != version:
            raise DamagedModelError(version, MANIFEST)
        return manifest

    def manifests(self) -> Iterator[Manifest]:
        """All registered policies, the oldest first.

        Raises:
            DamagedModelError: if a manifest is not the registered one.
        """
        versions = (path.name for kind in Kind for path in self._models.glob(f"{kind}-*"))
        yield from sorted(map(self.manifest, versions), key=lambda found: found.created_at)

    def policy_for(self, version: str, catalog: Catalog) -> Policy:
        """Loads a policy that is to choose from a catalog.

        Raises:
            UnknownVersionError: if there is none of this version.
            UnknownRuleError: if it is a rule that the catalog cannot follow.
            DamagedModelError: if a file differs from its manifest.
        """
        policy = self.policy(version)
        if isinstance(policy, Fixed) and version not in (known := rules(catalog)):
            raise UnknownRuleError(version, known)
        return policy

    def policy(self, version: str) -> Policy:
        """Loads a policy: `uniform`, `fixed/OFFER[/CHANNEL]` or a registered one.

        Raises:
            UnknownVersionError: if there is none of this version.
            DamagedModelError: if a file differs from its manifest.
        """
        kind, *rule = version.split("/")
        if version == Uniform.version:
            return Uniform()
        if kind == "fixed" and len(rule) in (1, 2) and all(rule):
            return Fixed(*rule)
        return self._registered(self.manifest(version))

    def _registered(self, manifest: Manifest) -> Policy:
        directory = self._models / manifest.version
        for name, digest in manifest.files.items():
            if not (directory / name).is_file() or sha256_of(directory / name) != digest:
                raise DamagedModelError(manifest.version, name)
        scale = Scale(
            manifest.reward_low,
            manifest.reward_high,
            manifest.reward_dispersion,
            manifest.reward_start,
        )
        crosses = crosses_of(manifest.crosses)
        facts = Facts(manifest.exploration, scale, manifest.interactions, crosses)
        return read(manifest.kind, manifest.version, facts, directory)


def rules(catalog: Catalog) -> list[str]:
    """Every fixed rule that a catalog allows."""
    offers = {name: offer.channels for name, offer in catalog.offers.items()}
    if catalog.no_send is not None:
        offers[NO_SEND] = ()
    return [
        "/".join(["fixed", offer, *channel])
        for offer, channels in offers.items()
        for channel in [(), *((name,) for name in channels)]
    ]


def _is_registered(path: Path, version: str) -> bool:
    """Whether a file is there and means what it should."""
    try:
        return path.is_file() and bool(_registered_catalog(path, version))
    except DamagedModelError:
        return False


def _registered_catalog(path: Path, version: str) -> Catalog:
    try:
        catalog = load_catalog(path)
    except CatalogError:
        raise DamagedModelError(version, path.name) from None
    found = catalog.registered_as(version)
    if found is None:
        raise DamagedModelError(version, path.name)
    return found


def _moved(scratch: Path, target: Path) -> bool:
    """Whether a directory could be moved; not if somebody else's is there already."""
    try:
        scratch.replace(target)
    except OSError as error:
        if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
            raise
        return False
    return True


def _write(learned: Learned, training: Training, created_at: datetime, directory: Path) -> Manifest:
    """Writes what was learned and its manifest, and makes both survive a power cut."""
    files, facts = write(learned, directory), facts_of(learned)
    for name in files:
        sync(directory / name)
    manifest = Manifest(
        version="",
        created_at=created_at,
        kind=kind_of(learned),
        exploration=facts.exploration,
        interactions=facts.interactions,
        reward_low=facts.scale.low,
        reward_high=facts.scale.high,
        reward_dispersion=facts.scale.dispersion,
        reward_start=facts.scale.start,
        crosses=words_of(facts.crosses),
        training=training,
        files={name: sha256_of(directory / name) for name in files},
    )
    version = _content_version(manifest.model_dump(mode="json", by_alias=True))
    manifest = manifest.model_copy(update={"version": version})
    write_atomically(directory / MANIFEST, manifest.model_dump_json(indent=2, by_alias=True))
    return manifest


def _content_version(manifest: dict[str, Any]) -> str:
    """Hash of all that makes the policy, but not of when it was made.

    It is taken over the file's own content, not over this release's reading of it, so that a field
    that a later release adds makes no registered policy look damaged.
    """
    content = {key: manifest[key] for key in manifest.keys() - {"version", "created_at"}}
    text = json.dumps(content, sort_keys=True)
    kind = manifest.get("kind", Kind.CHAIN)
    return f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _is_plain(version: str) -> bool:
    """Whether a version is a name, not a path: versions come from outside."""
    return _PLAIN.fullmatch(version) is not None
