"""The columns that a table must have to be drawn from; it may have more."""

_TRAINING = "env algorithm agent iteration pairs mean_return mean_length num_episodes"

# By the names of `dpg.report.tables.Tables`.
COLUMNS = {
    "history": _TRAINING,
    "ablation": _TRAINING,
    "regimes": f"timesteps lr {_TRAINING}",
    "evaluation": "env algorithm agent iteration actions episodes pairs mean_return low high",
    "similarity": "env algorithm agent iteration against pairs trajectories repeats cosine low high corrected_cosine "
    "share_nonpositive random_floor",
    "noise": "env algorithm agent iteration true_pairs reliability",
    "updates": "env algorithm agent iteration updates unmoved pairs trajectories cosine kl",
    "update_gains": "env algorithm agent iteration update_pairs update trajectories own_surrogate_gain "
    "heldout_surrogate_gain episodes pairs snapshot_return reward_gain reward_gain_se",
    "snapshot_gains": "env algorithm agent iteration update_pairs quantity updates unmoved episodes mean low high",
    "agent_gains": "env algorithm iteration update_pairs quantity agents updates episodes mean low high",
    "value": "env algorithm agent iteration split target pairs trajectories mean_relative_error trimmed_relative_error "
    "median_relative_error near_zero_share release_error release_pairs release_error_known hindsight_error "
    "hindsight_pairs",
    "fits": "env algorithm agent iteration pairs stopping_pairs heldout_pairs heldout_trajectories best_epoch "
    "explained_variance value_net_explained_variance",
    "losses": "env algorithm agent iteration epoch train_loss stopping_loss",
    "states": "env algorithm agent iteration state rollouts cut rollout_mean rollout_se value_net true_value",
    "opinions": "env algorithm agent iteration net states rollouts squared_error squared_value",
    "baselines": "env algorithm agent iteration baseline advantage pairs trajectories repeats cosine low high",
    "differences": "env algorithm agent iteration baseline other advantage pairs repeats difference low high",
    "gains": "env algorithm iteration baseline other advantage pairs agents difference low high",
    "landscape": "env algorithm agent iteration update_pairs step random step_norm random_norm surrogate reward "
    "reward_se trajectories pairs common_random_numbers",
    "concentration": "env algorithm agent iteration update_pairs budget_pairs step random reward reward_se "
    "trajectories pairs",
    "resolution": "env algorithm agent iteration update_pairs budget_pairs trajectories pairs reward_se "
    "point_pairs own_resolved_share own_noise_share shared_resolved_share shared_noise_share",
    "alignment": "env algorithm agent iteration update_pairs trajectories snapshot_reward grid_correlation "
    "grid_correlation_low grid_correlation_high step_correlation step_correlation_low step_correlation_high "
    "surrogate_gain gain gain_low gain_high",
}
