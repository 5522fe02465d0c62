"""Results into a folder: FOLDER/StudyInstanceUID/SOPInstanceUID.dcm, other files by their own name."""

import filecmp
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ctacal.atomic import whole_file
from ctacal.errors import system_message
from ctacal.jobs.node.config import Destination, NodeConfig
from ctacal.jobs.node.deliveries import DONE, Answer, Means
from ctacal.jobs.node.ledger import DeliveryClaim


@dataclass(frozen=True, slots=True)
class FolderOut:
    """The way to one folder."""

    config: NodeConfig
    destination: Destination

    def send(
        self, claims: Sequence[DeliveryClaim], transaction_uid: str = ""
    ) -> Iterator[tuple[DeliveryClaim, Answer]]:
        """Write files whole, and yield the answer to each; it ends if the folder is not there."""
        for claim in claims:
            answer = self._write(claim)
            yield claim, answer
            if answer.means is Means.DOWN:
                return

    def _write(self, claim: DeliveryClaim) -> Answer:
        source, folder = self.config.store / claim.path, self.destination.folder or Path()
        if not source.is_file():
            return Answer(Means.HELD, f"{claim.path} is not there; score the study again")
        if not folder.is_dir():  # never made here: where a share is not mounted, files would fill the own disk
            return Answer(Means.DOWN, f"{folder} is not there; mount it, or make it")
        name = f"{claim.sop_instance_uid}.dcm" if claim.sop_class_uid else source.name
        target = folder / claim.study_uid / name
        try:
            return _copy(source, target, may_replace=not claim.sop_class_uid)
        except OSError as problem:
            return Answer(Means.DOWN, f"{target}: {system_message(problem)}")


def _copy(source: Path, target: Path, *, may_replace: bool) -> Answer:
    """Copy a file; a report of a newer result takes the place of an older one, an object never does."""
    if target.exists():
        if filecmp.cmp(source, target, shallow=False):
            return DONE
        if not may_replace:
            return Answer(Means.HELD, f"{target} holds something else; move it away, then retry")
    with whole_file(target) as temporary:
        shutil.copyfile(source, temporary)
    return DONE
