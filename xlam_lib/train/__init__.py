"""Training on TRL's trainers: :mod:`xlam_lib.train.sft` and :mod:`xlam_lib.train.dpo`."""
