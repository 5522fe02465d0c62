"""Ways to run a batch beyond one machine (extra ``ray``). What is done, and how, is the matter of ``jobs.batch``."""
