"""Experience: streams of state-action pairs, episodes, returns and advantages."""
