"""What other tools call the keys of a configuration: whoever writes one of these words is told ours."""

OTHER_NAMES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("model", "model_name", "model_id", "model_name_or_path", "pretrained"), ("models",)),
    **dict.fromkeys(
        ("n_samples", "num_samples", "max_samples", "samples", "n"), ("questions.limit", "generate.rollouts")
    ),
    **dict.fromkeys(("n_questions", "num_questions", "n_examples", "num_examples"), ("questions.limit",)),
    **dict.fromkeys(("num_return_sequences", "n_rollouts", "num_rollouts", "epochs"), ("generate.rollouts",)),
    **dict.fromkeys(
        ("batch_size", "per_device_batch_size", "micro_batch_size"), ("generate.token_budget", "capture.token_budget")
    ),
    **dict.fromkeys(("max_tokens", "max_length", "max_completion_tokens"), ("generate.max_new_tokens",)),
    **dict.fromkeys(("random_seed", "random_state"), ("seed",)),
    **dict.fromkeys(("dataset", "dataset_name", "data", "task"), ("questions.source",)),
    **dict.fromkeys(("dataset_path", "data_path", "data_files"), ("questions.source", "questions.path")),
    **dict.fromkeys(("dataset_config", "dataset_config_name"), ("questions.subset",)),
    **dict.fromkeys(("output_dir", "cache_dir", "save_dir", "out_dir"), ("cache",)),
    **dict.fromkeys(("num_workers", "n_jobs", "num_proc"), ("processes", "threads")),
    **dict.fromkeys(("torch_dtype", "precision"), ("dtype",)),
    **dict.fromkeys(("load_in_4bit", "load_in_8bit", "quantization"), ("quantized",)),
    **dict.fromkeys(("system_prompt", "system_message"), ("generate.system",)),
    **dict.fromkeys(("do_sample", "greedy"), ("generate.temperature",)),
    **dict.fromkeys(("base_url", "api_base"), ("generate.server.base_url",)),
    **dict.fromkeys(("judge_model", "grader", "scorer"), ("judge.judges", "judge.models")),
    **dict.fromkeys(("layer", "hook_points"), ("capture.layers",)),
    **dict.fromkeys(("tokens", "token_positions"), ("capture.positions",)),
    **dict.fromkeys(("C", "Cs", "alpha", "l2"), ("probe.c_grid",)),
    **dict.fromkeys(("cv", "n_splits", "n_folds", "k_folds"), ("probe.outer_folds",)),
    **dict.fromkeys(("n_permutations", "num_permutations"), ("probe.permutations",)),
    **dict.fromkeys(("n_bootstrap", "n_resamples", "num_bootstrap"), ("compare.bootstrap",)),
}
"""By word, our keys from the top; :func:`experiments.config.file.explain` says what each is."""
