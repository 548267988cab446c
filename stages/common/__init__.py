"""What the stages share: scopes and paths, the entry point, running a stage, lineage, and training histories."""
