"""The registry: content makes the version, damage is found, names are never paths."""

import json
import shutil
import stat
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from policy.catalog import parse_catalog
from policy.chain import Chain, Scale
from policy.choice import choose
from policy.errors import CatalogError, DamagedModelError, UnknownRuleError, UnknownVersionError
from policy.exploration import Exploration
from policy.learned import REGRESSION, WEIGHTS
from policy.learning import Student
from policy.policies import Fixed, Uniform
from policy.registry import Manifest, Registry, Training, rules
from tests.policy.catalogs import FULL, MINIMAL, full
from tests.policy.conformance import stages
from tests.shop import situation

NOW = datetime(2026, 6, 10, 12, tzinfo=UTC)
FILES = (REGRESSION, WEIGHTS)
TRAINING = Training(catalog="catalog-1", until="0" * 32, held_out_share=0.5, caution=2.0)
SCALE = Scale(-4.0, 4.0, 0.1, -0.5)
HOSTILE_VERSIONS = [
    "",
    ".",
    "..",
    "../x",
    "/etc/passwd",
    "chain-1/../chain-1",
    "chain-1/",
    "fixed/",
    "fixed//email",
    "fixed/a/b/c",
    "uniform/x",
    ".new-1",
    "~",
    "chain-1\0",
    "chain-1\n",
    "x" * 100_000,
    "\ud800",
    "chain-0123456789abcdef",
]


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """An empty registry."""
    return Registry(tmp_path)


@pytest.fixture
def chain() -> Iterator[Student]:
    """A student whose chain has learned something."""
    found = trained()
    yield found
    found.close()


def trained(
    seed: int = 1, count: int = 50, exploration: Exploration | None = None, scale: Scale = SCALE
) -> Student:
    """A student that has learned from random rounds."""
    student, rng = Student(exploration or Exploration(), scale), np.random.default_rng(seed)
    for _ in range(count):
        found = situation(str(rng.integers(5)))
        path = choose(Uniform(), found, int(rng.integers(2**63))).path
        student.learn(found, path, float(rng.normal()))
    return student


def chain_dir(tmp_path: Path, manifest: Manifest) -> Path:
    """The directory of a registered chain."""
    return tmp_path / "models" / manifest.version


def test_a_registered_chain_gives_the_same_scores(registry: Registry, chain: Student) -> None:
    """What is loaded scores as what was registered, to the last bit."""
    manifest = registry.register(chain, TRAINING, NOW)
    loaded = registry.policy(manifest.version)
    assert isinstance(loaded, Chain)
    assert loaded.version == manifest.version
    assert (loaded.exploration, loaded.interactions) == (chain.exploration, 50)
    assert loaded.scale == chain.scale == SCALE
    for plan in map(str, range(5)):
        for path in stages(situation(plan)):
            expected = chain.chain.scores(situation(plan), path)
            found = loaded.scores(situation(plan), path)
            np.testing.assert_array_equal(found.logits, expected.logits)
            np.testing.assert_array_equal(found.errors, expected.errors)
            pmf = chain.chain.pmf(situation(plan), path)
            np.testing.assert_array_equal(loaded.pmf(situation(plan), path), pmf)


def test_the_manifest_says_what_the_chain_is(registry: Registry, chain: Student) -> None:
    """It is read back as it was written, with a hash for every file."""
    manifest = registry.register(chain, TRAINING, NOW)
    assert registry.manifest(manifest.version) == manifest
    assert set(manifest.files) == set(FILES)
    assert (manifest.training, manifest.created_at) == (TRAINING, NOW)


def test_the_same_content_is_the_same_version(registry: Registry) -> None:
    """Registered again, later, it is the earlier registration, and there is one directory."""
    first, second = trained(), trained()
    earlier = registry.register(first, TRAINING, NOW)
    later = registry.register(second, TRAINING, NOW + timedelta(days=1))
    assert later == earlier
    assert list(registry.manifests()) == [earlier]
    first.close()
    second.close()


def test_other_content_is_another_version(registry: Registry, chain: Student) -> None:
    """Weights, exploration, scale, interactions and training each make a version of their own."""
    other_weights = trained(seed=3)
    other_exploration = trained(exploration=Exploration(floor=0.02))
    other_scale = trained(scale=Scale(-4.0, 5.0))
    other_training = TRAINING.model_copy(update={"caution": 4.0})
    versions = {
        registry.register(chain, TRAINING, NOW).version,
        registry.register(other_weights, TRAINING, NOW).version,
        registry.register(other_exploration, TRAINING, NOW).version,
        registry.register(other_scale, TRAINING, NOW).version,
        registry.register(chain, other_training, NOW).version,
    }
    chain.learn(situation(), (0, 0, 0), 1.0)
    versions.add(registry.register(chain, TRAINING, NOW).version)
    assert len(versions) == 6
    for student in (other_weights, other_exploration, other_scale):
        student.close()


def test_all_chains_are_listed_the_oldest_first(registry: Registry) -> None:
    """The list is ordered by when a chain was made."""
    days = [3, 1, 2]
    for seed, day in enumerate(days):
        chain = trained(seed=seed)
        registry.register(chain, TRAINING, NOW + timedelta(days=day))
        chain.close()
    made = [manifest.created_at for manifest in registry.manifests()]
    assert made == [NOW + timedelta(days=day) for day in sorted(days)]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["cut", "flipped", "longer", "missing", "directory"])
def test_a_damaged_model_is_never_loaded(
    registry: Registry, chain: Student, tmp_path: Path, name: str, damage: str
) -> None:
    """A model file that is not the registered one, to the byte, is named in the error."""
    manifest = registry.register(chain, TRAINING, NOW)
    path = chain_dir(tmp_path, manifest) / name
    content = bytearray(path.read_bytes())
    path.unlink()
    if damage == "cut":
        path.write_bytes(content[:-1])
    elif damage == "flipped":
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    elif damage == "longer":
        path.write_bytes(content + b"\0")
    elif damage == "directory":
        path.mkdir()
    with pytest.raises(DamagedModelError) as caught:
        registry.policy(manifest.version)
    assert (caught.value.version, caught.value.file) == (manifest.version, name)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("interactions", 10**6),
        ("reward_high", 5.0),
        ("reward_dispersion", 1.0),
        ("reward_start", 0.0),
        ("exploration", {"name": "greedy"}),
        ("files", {}),
        ("files", {"../../x": ""}),
        ("training", {"catalog": "c", "until": "f" * 32, "held_out_share": 0.1, "caution": 1.0}),
        ("version", "chain-0000000000000000"),
        ("version", "../../elsewhere"),
        ("schema", 2),
        ("note", "x"),
    ],
)
def test_an_edited_manifest_is_damage(
    registry: Registry, chain: Student, tmp_path: Path, key: str, value: object
) -> None:
    """The version is a hash of the manifest: nobody can change what a policy is under its name."""
    manifest = registry.register(chain, TRAINING, NOW)
    path = chain_dir(tmp_path, manifest) / "manifest.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**content, key: value}), encoding="utf-8")
    with pytest.raises(DamagedModelError) as caught:
        registry.policy(manifest.version)
    assert (caught.value.version, caught.value.file) == (manifest.version, "manifest.json")


@pytest.mark.parametrize("content", [b"", b"{", b"null", b"[]", b"\xff", b"[" * 100_000])
def test_a_manifest_that_is_none_is_damage(
    registry: Registry, chain: Student, tmp_path: Path, content: bytes
) -> None:
    """Whatever the file holds, the error names it."""
    manifest = registry.register(chain, TRAINING, NOW)
    (chain_dir(tmp_path, manifest) / "manifest.json").write_bytes(content)
    with pytest.raises(DamagedModelError, match=r"manifest\.json"):
        registry.manifest(manifest.version)


def test_a_chain_under_another_name_is_damage(
    registry: Registry, chain: Student, tmp_path: Path
) -> None:
    """A directory that was renamed is not the version that its name says."""
    manifest = registry.register(chain, TRAINING, NOW)
    other = "chain-0000000000000000"
    shutil.move(chain_dir(tmp_path, manifest), tmp_path / "models" / other)
    with pytest.raises(DamagedModelError):
        registry.policy(other)


@pytest.mark.parametrize("version", HOSTILE_VERSIONS)
def test_a_version_is_a_name_and_never_a_path(
    registry: Registry, chain: Student, tmp_path: Path, version: str
) -> None:
    """Versions come from outside: no text makes the registry read elsewhere, or fail otherwise."""
    registry.register(chain, TRAINING, NOW)
    registry.add_catalog(MINIMAL)
    (tmp_path / "x").mkdir()
    (tmp_path / "x.toml").write_text(MINIMAL, encoding="utf-8")
    for look in (registry.policy, registry.manifest, registry.catalog):
        with pytest.raises(UnknownVersionError) as caught:
            look(version)
        assert caught.value.version == version
        assert len(str(caught.value)) < 300


def test_rules_need_no_registration(registry: Registry) -> None:
    """`uniform` and fixed rules are there from the start."""
    assert isinstance(registry.policy("uniform"), Uniform)
    for version in ("fixed/spring", "fixed/spring/email"):
        policy = registry.policy(version)
        assert isinstance(policy, Fixed)
        assert policy.version == version


def test_a_registration_that_fails_leaves_nothing(
    registry: Registry, chain: Student, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the disk fails half-way, there is no version and no scrap of one."""

    def fail(*_: object) -> None:
        raise OSError(28, "no space left on device")

    monkeypatch.setattr("policy.registry.write_atomically", fail)
    with pytest.raises(OSError, match="no space"):
        registry.register(chain, TRAINING, NOW)
    assert list(registry.manifests()) == []
    assert list((tmp_path / "models").iterdir()) == []


def test_a_half_written_registration_is_not_listed(registry: Registry, tmp_path: Path) -> None:
    """What a crash left behind is no version."""
    (tmp_path / "models" / ".new-crashed").mkdir(parents=True)
    assert list(registry.manifests()) == []


def test_the_same_chain_may_be_registered_by_several_at_once(tmp_path: Path) -> None:
    """Eight writers of the same content all get the same manifest, and one directory stays."""
    chains = [trained() for _ in range(8)]
    found: list[Manifest] = []
    failures: list[Exception] = []
    ready = threading.Barrier(8)

    def write(chain: Student) -> None:
        ready.wait()
        try:
            found.append(Registry(tmp_path).register(chain, TRAINING, NOW))
        except Exception as error:  # noqa: BLE001 - reported below
            failures.append(error)

    threads = [threading.Thread(target=write, args=(chain,)) for chain in chains]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(found) == 8
    assert {manifest.version for manifest in found} == {
        path.name for path in (tmp_path / "models").iterdir()
    }
    for chain in chains:
        chain.close()


def test_losing_the_race_for_a_directory_is_no_failure(
    registry: Registry, chain: Student, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If somebody registers the same content between the look and the move, theirs counts."""
    theirs = registry.register(chain, TRAINING, NOW)
    monkeypatch.setattr(Path, "exists", lambda _path: False)
    ours = registry.register(chain, TRAINING, NOW + timedelta(days=1))
    assert ours == theirs
    assert [path.name for path in (tmp_path / "models").iterdir()] == [theirs.version]


def test_a_catalog_is_registered_under_its_meaning(registry: Registry, tmp_path: Path) -> None:
    """Laid out otherwise it is the same version, and the first text stays."""
    first = registry.add_catalog(FULL)
    second = registry.add_catalog(f"# the same again\n{FULL}")
    assert first.version == second.version == full().version
    (path,) = (tmp_path / "catalogs").iterdir()
    assert path.read_text(encoding="utf-8") == FULL
    assert Registry(tmp_path).catalog(first.version) == first


def test_a_catalog_of_before_a_default_changed_is_read(registry: Registry, tmp_path: Path) -> None:
    """A log goes on under the version that its records name; published again, it gets a new one.

    This one was registered by a release that left a floor of 0.01 out, since it was the default.
    """
    text = f"{MINIMAL}[exploration]\nname = 'matching'\nfloor = 0.01\n"
    before = parse_catalog(MINIMAL).version
    (tmp_path / "catalogs").mkdir(exist_ok=True)
    (tmp_path / "catalogs" / f"{before}.toml").write_text(text)
    found = registry.catalog(before)
    assert (found.version, found.exploration.floor) == (before, 0.01)
    assert registry.add_catalog(text).version != before


@pytest.mark.parametrize("changed", ["floor = 0.02", "floor = 0.01\nepsilon = 0.2"])
def test_only_what_was_a_default_is_forgiven(
    registry: Registry, tmp_path: Path, changed: str
) -> None:
    """Any other difference is damage, as ever."""
    (tmp_path / "catalogs").mkdir(exist_ok=True)
    version = parse_catalog(MINIMAL).version
    text = f"{MINIMAL}[exploration]\n{changed}\n"
    (tmp_path / "catalogs" / f"{version}.toml").write_text(text)
    with pytest.raises(DamagedModelError):
        registry.catalog(version)


def test_a_catalog_that_is_wrong_is_not_registered(registry: Registry, tmp_path: Path) -> None:
    """The error names the source, and nothing is written."""
    with pytest.raises(CatalogError, match=r"shop\.toml"):
        registry.add_catalog("schema = 1", "shop.toml")
    assert not (tmp_path / "catalogs").exists()


@pytest.mark.parametrize(
    "content", [b"", b"schema = 1", b"\xff", FULL.replace("19.5", "19.6").encode()]
)
def test_a_damaged_catalog_is_never_used(
    registry: Registry, tmp_path: Path, content: bytes
) -> None:
    """A catalog whose text does not have its version's meaning is damage, not another catalog."""
    version = registry.add_catalog(FULL).version
    (tmp_path / "catalogs" / f"{version}.toml").write_bytes(content)
    with pytest.raises(DamagedModelError) as caught:
        Registry(tmp_path).catalog(version)
    assert (caught.value.version, caught.value.file) == (version, f"{version}.toml")
    assert Registry(tmp_path).add_catalog(FULL).version == version
    assert Registry(tmp_path).catalog(version) == full()


def test_a_rule_has_to_name_what_the_catalog_has(registry: Registry) -> None:
    """A misspelt fixed rule is refused by name, not followed as if it were uniform."""
    found = full()
    for version in rules(found):
        assert registry.policy_for(version, found).version == version
    for version in ("fixed/sprign", "fixed/spring/fax", "fixed/no_send/email"):
        with pytest.raises(UnknownRuleError, match="its rules are fixed/") as caught:
            registry.policy_for(version, found)
        assert (caught.value.version, caught.value.known) == (version, rules(found))


def test_an_unknown_rule_of_a_large_catalog_is_told_in_few_words() -> None:
    """However long the name and the list of rules are, the text has a beginning of both."""
    known = [f"fixed/o{turn}/email" for turn in range(10_000)]
    error = UnknownRuleError("fixed/" + "x" * 1_000_000, known)
    assert len(str(error)) < 500
    assert "fixed/o9/email and 9990 more" in str(error)
    assert error.known == known
    assert str(UnknownRuleError("fixed/x/y", known[:2])).endswith("fixed/o0/email, fixed/o1/email")


def test_whoever_may_read_the_data_may_read_a_model(
    registry: Registry, chain: Student, tmp_path: Path
) -> None:
    """Who trains need not be who serves: a model's directory is as open as those around it."""
    model = chain_dir(tmp_path, registry.register(chain, TRAINING, NOW))
    assert stat.S_IMODE(model.stat().st_mode) == stat.S_IMODE(model.parent.stat().st_mode)
