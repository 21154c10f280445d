"""Why a training cannot begin, go on, or give a network. No torch is needed to raise or read these."""

from __future__ import annotations

from catalog.errors import LookalikeError, gettext_noop


class TrainingError(LookalikeError):
    code = "training_failed"
    status = 409


class TorchMissing(TrainingError):
    code = "torch_missing"
    text = gettext_noop("Training needs torch, and %(missing)s is not installed here.")
    cure = gettext_noop("Install the extra 'torch' where the gpu queue's worker runs: pip install 'lookalike[torch]'.")
    status = 503


class NotTrainable(TrainingError):
    code = "not_trainable"
    text = gettext_noop("The feature model %(model)s cannot be trained: %(reason)s.")
    cure = gettext_noop("%(cure)s")


class BadTrainingOptions(TrainingError):
    code = "bad_training_options"
    text = gettext_noop("The training cannot be set up so: %(reason)s.")
    cure = gettext_noop("Correct the option %(option)s.")
    status = 400


class TooFewLabels(TrainingError):
    code = "too_few_labels"
    text = gettext_noop("There is too little to learn from: %(found)s; %(needed)s are needed at least.")
    cure = gettext_noop("%(cure)s")


class Diverged(TrainingError):
    code = "training_diverged"
    text = gettext_noop("The loss was no number any more at step %(step)d.")
    cure = gettext_noop("Begin again with a lower learning rate, or with precision float32.")


class CheckpointDiffers(TrainingError):
    code = "checkpoint_differs"
    text = gettext_noop("The checkpoint %(path)s belongs to another training: %(what)s changed since.")
    cure = gettext_noop("Delete the folder to begin anew, or bring back what was changed.")


class CheckpointBroken(TrainingError):
    code = "checkpoint_broken"
    text = gettext_noop("The checkpoint %(path)s cannot be read: %(reason)s.")
    cure = gettext_noop("Delete the folder to begin anew.")
