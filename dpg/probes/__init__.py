"""Measurements of snapshots, all of one shape.

- `plan`: snapshots, a budget and a seed give shards, each with its `num_pairs` or `num_episodes`;
- `measure`: one shard gives one result; pure, and run in a worker;
- `gather`: shards and their results, in order, give one item for each snapshot (absent where a shard is a snapshot);
- `tabulate`: gathered items give the rows of the declared tables (`dpg.tables`) by their type.

A measurement in two rounds has a `plan_*` and a `measure_*` for each; the second is planned from the first's results.
Workers, progress and files belong to the stages.
"""
