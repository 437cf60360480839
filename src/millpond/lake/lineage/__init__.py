"""Where things come from and what came of them: predictions, models, runs, commits, bytes."""
