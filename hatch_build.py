"""What differs in the wheel from the repository: the ONNX files lie in it as planes, which a zip compresses better."""

import runpy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class NetworksAsPlanes(BuildHookInterface):  # type: ignore[type-arg]
    """Put planes into the wheel in place of the ONNX files (left out in pyproject.toml)."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the planes to a temporary folder, from where they are packed."""
        if version == "editable":
            return
        source = Path(self.root, "src")
        planes = runpy.run_path(str(source / "ctacal" / "nn" / "planes.py"))
        self.made = TemporaryDirectory()
        for network in source.glob("ctacal/nn/weights/*.onnx"):
            name = network.name + planes["SUFFIX"]
            Path(self.made.name, name).write_bytes(planes["to_planes"](network.read_bytes()))
            inside = network.relative_to(source).with_name(name).as_posix()
            build_data["force_include"][str(Path(self.made.name, name))] = inside

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the temporary folder."""
        if version != "editable":
            self.made.cleanup()
