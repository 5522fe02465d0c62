"""``python -m ctacal``, and ``torchrun -m ctacal`` for several GPUs."""

from ctacal.cli.app import main

if __name__ == "__main__":
    main()
