# SPDX-License-Identifier: GPL-2.0-or-later
"""Trees of commits on top of packages, with trees made by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rpmtree.errors import ConflictError
from rpmtree.ostree import objects
from rpmtree.ostree.tree import Directory
from rpmtree.root.layers import TreeLayer, put_on
from tests.support.scriptvalues import file, package

P = package("p", files=[file("/usr/bin/tool"), file("/etc/p.conf"), file("/usr/share/p/data")])


def tree(**files: str) -> Directory:
    """A tree of the files at those paths (`__` stands for a slash), each with a checksum that tells its content."""
    root = Directory()
    for path, content in files.items():
        parent, _, name = path.replace("__", "/").rpartition("/")
        root.make(parent).files[name] = content.encode()
    return root


def contents(root: Directory) -> dict[str, str]:
    return {f"{path}/{name}": found.decode() for path, below in root.walk() for name, found in below.files.items()}


def packaged() -> Directory:
    return tree(usr__bin__tool="1", etc__p="2", usr__share__p__data="3")


def test_new_and_equal_files_are_taken() -> None:
    root = packaged()
    first, second = tree(usr__bin__tool="1", usr__bin__more="4"), tree(usr__bin__more="4", opt__x="5")
    before = contents(second)
    put_on(root, [P], [TreeLayer("a", first), TreeLayer("b", second)])
    expected = {"usr/bin/tool": "1", "etc/p": "2", "usr/share/p/data": "3", "usr/bin/more": "4", "opt/x": "5"}
    assert contents(root) == expected
    root.make("opt").files["y"] = b"6"
    assert contents(second) == before  # they share nothing that can change


@pytest.mark.parametrize(
    ("added", "path", "kinds"),
    [
        ({"usr__bin__tool": "other"}, "/usr/bin/tool", False),
        ({"usr__share__p": "file"}, "/usr/share/p", True),
        ({"usr__bin__tool__x": "file"}, "/usr/bin/tool", True),
    ],
)
def test_conflicts_name_the_path_and_both_sides(added: dict[str, str], path: str, kinds: bool) -> None:
    layer = TreeLayer("demo/layer", tree(**added))
    with pytest.raises(ConflictError) as caught:
        put_on(packaged(), [P], [layer])
    assert (caught.value.path, caught.value.packages) == (path, (str(P.nevra), "the layer demo/layer"))
    if kinds:
        with pytest.raises(ConflictError):
            put_on(packaged(), [P], [replace(layer, override=True)])
    else:
        root = packaged()
        put_on(root, [P], [replace(layer, override=True)])
        assert contents(root)["usr/bin/tool"] == "other"


def test_layers_conflict_with_each_other_and_the_last_override_wins() -> None:
    layers = [TreeLayer(name, tree(usr__lib__x=name)) for name in ("a", "b")]
    with pytest.raises(ConflictError) as caught:
        put_on(packaged(), [P], layers)
    assert caught.value.packages == ("the layer a", "the layer b")
    root = packaged()
    put_on(root, [P], [replace(layer, override=True) for layer in layers])
    assert contents(root)["usr/lib/x"] == "b"


def test_directories_that_are_there_keep_their_modes() -> None:
    root, layer = packaged(), tree(usr__bin__more="4", usr__new__x="5")
    for path, mode in (("usr/bin", 0o700), ("usr/new", 0o711)):
        layer.make(path).meta = objects.dirmeta(mode)
    put_on(root, [P], [TreeLayer("a", layer)])
    modes = [objects.parse_dirmeta(root.make(path).meta)[0] for path in ("usr/bin", "usr/new")]
    assert modes == [0o755, 0o711]
