# The settings of a study: those of study.yml, with what `--config` says in place of some, and the kinds of values that they may have.
#
# Whatever is wrong is refused here, before anything starts.

PATHS = ("data", "base_text", "risky_text", "prompts", "comments", "chats", "model")
KINDS = {
    **dict.fromkeys(("arms", "seeds"), list),
    **dict.fromkeys(("budgets", "axolotl", "slung", "resources", "evaluation", "heldout", "tune", "audit", "attack"), dict),
    **dict.fromkeys(("base", "equal", "tasks", *PATHS), str),
    **dict.fromkeys(("scorer", "judge", "judge_url"), str),
    **dict.fromkeys(("authors", "tokens", "wrong_answers"), int),
    **dict.fromkeys(("options", "risky_scores"), dict),
    "labelers": list,
    "probabilities": bool,
}
MAY_BE_NULL = {*PATHS, "scorer", "judge", "judge_url", "options", "risky_scores", "labelers"} - {"model", "chats"}
PARTS = {
    "evaluation": ("model_args", "arguments"),
    "tune": ("base", "tasks"),
    "audit": ("config", "arguments"),
    "attack": ("direct", "arguments"),
}
WORDS = {list: "a list", dict: "a mapping", str: "text", int: "a whole number", bool: "true or false"}
EXAMPLES = {"seeds": "[0, 1]", "arms": "[masked, unlikelihood]", "budgets": "{3k: 3000}"}
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,59}")  # as in arms.yml


def read_settings():
    """The settings of the chosen size."""
    size = config.get("size")
    if size not in SIZES:
        refuse(f"size: {shown(size)}: not a size of this study; add `--config size=small` or `size=paper`")
    chosen = dict(config[size])
    known = {*chosen, *SIZES, "size", "out"}
    for key in config:
        if key not in known:
            refuse(f"{key}: not a setting of this study; it has {', '.join(sorted(known - set(SIZES)))}")
        if key in chosen:
            check_signs(key, config[key])
    settings = {key: typed(config[key]) if key in config else value for key, value in chosen.items()}
    for key, value in settings.items():
        check_kind(key, value)
    check_names(settings)
    return settings


def check_signs(key, value):
    """Refuse what Snakemake would change on the way to its jobs: it gives them `--config` through a shell, in Python's quotes."""
    if isinstance(value, (dict, list)):
        for inner in [*value, *(value.values() if isinstance(value, dict) else ())]:
            check_signs(key, inner)
    elif isinstance(value, str) and re.search(r"""['"\\$`]|[^\S ]""", value):
        refuse(
            f"{key}: {shown(value)}: has quotes, backslashes, line breaks, $ or `, which `--config` cannot hand on to the steps; write it "
            "into study.yml"
        )


def typed(value):
    """A value of `--config` as YAML reads it. Snakemake leaves every number inside of a list or a mapping as text."""
    if isinstance(value, dict):
        return {key: typed(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [typed(inner) for inner in value]
    if not isinstance(value, str):
        return value
    try:
        read = yaml.safe_load(value)
    except (yaml.YAMLError, ValueError):
        return value
    return read if read is None or isinstance(read, (bool, int, float)) else value


def shown(value):
    """A value for a message, in one line."""
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 60 and text.isprintable() else WORDS.get(type(value), "a value")


def check_kind(key, value):
    kind = KINDS.get(key)
    if kind is None or (value is None and key in MAY_BE_NULL):
        return
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        example = f"write {EXAMPLES[key]}" if key in EXAMPLES else "study.yml has an example"
        refuse(f"{key}: {shown(value)}: expected {WORDS[kind]}; {example}")
    if kind is list and not value:
        refuse(f"{key}: has no entries; {f'write {EXAMPLES[key]}' if key in EXAMPLES else 'write null, or add some'}")
    if kind is int and value < (0 if key == "wrong_answers" else 1):
        refuse(f"{key}: {value}: expected a number at least {0 if key == 'wrong_answers' else 1}; raise it")
    if key in PATHS and (not value or value[0] in "-~" or re.search(r"[{}\n\r]", value)):
        # braces are Snakemake's wildcards, and a - in front begins an option
        refuse(f"{key}: {shown(value)}: a path with braces or line breaks, or with - or ~ in front; write ./PATH, or rename it")
    if key == "model" and "," in value:
        refuse(f"model: {value}: has a comma, at which lm_eval would cut the path; rename the folder")
    for part in PARTS.get(key, ()):
        if not isinstance(value.get(part), str):
            refuse(f"{key}.{part}: {shown(value.get(part))}: expected text; study.yml has an example")
        if part == "arguments":
            words(f"{key}.{part}", value[part])
    if key == "attack" and not isinstance(value.get("arms"), list):
        refuse(f"attack.arms: {shown(value.get('arms'))}: expected a list of arms; study.yml has an example")
    if key == "options" and value:
        for option in value:
            if not re.fullmatch(r"SLUNG_[A-Z_]+", str(option)):
                refuse(f"options: {shown(option)}: not an option of a task; write SLUNG_PROBE_TRAIN or the like")
    if key == "resources":
        for step, needs in value.items():
            if not isinstance(needs, dict) or any(isinstance(one, bool) or not isinstance(one, int) for one in (
                needs.get(name, 1) for name in ("threads", "gpu", "mem_mb", "runtime")
            )):
                refuse(f"resources.{step}: expected whole numbers; write {{threads: 2, mem_mb: 4000, runtime: 60}}")


def check_names(settings):
    """Arms, seeds and budgets name files, and stand in commands."""
    if len(settings["arms"]) < 2:
        refuse("arms: expected two or more, since a study compares them; write [masked, unlikelihood]")
    for arm in settings["arms"]:
        name = arm.get("name") if isinstance(arm, dict) else arm
        if not isinstance(name, str) or not NAME.fullmatch(name):
            refuse(f"arms: {shown(name)}: expected a name of letters, digits and _ . -; write masked, or a mapping with a `name`")
    for seed in settings["seeds"]:
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 1 << 32:
            refuse(f"seeds: {shown(seed)}: expected whole numbers from 0 to {(1 << 32) - 1}; write [0, 1]")
    for name, tokens in (settings.get("budgets") or {}).items():
        if not isinstance(name, str) or not NAME.fullmatch(name):
            refuse(f"budgets: {shown(name)}: expected a name of letters, digits and _ . -; write {{3k: 3000}}")
        if isinstance(tokens, bool) or not isinstance(tokens, int) or tokens < 0:
            refuse(f"budgets.{name}: {shown(tokens)}: expected a whole number of tokens; write {{3k: 3000}}")
    if settings["equal"] not in ("documents", "loss_tokens"):
        refuse(f"equal: {shown(settings['equal'])}: is not one of documents, loss_tokens; choose one of them")


def words(key, text):
    """The words of arguments for a command, as a shell would cut them. None of them means anything to the shell then."""
    try:
        return shlex.split(text)
    except ValueError:
        refuse(f"{key}: has a quote without its end; add it")
