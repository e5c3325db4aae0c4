"""Tiny results of every kind that has a section, and of kinds that have none."""

import numpy as np
import xarray as xr

STATUS = {
    "role": "diagnostic",
    "flag_values": [-1, 0, 1, 2, 3, 4],
    "flag_meanings": "not_run converged transient non_local diverged below_loss",
}
DIAGNOSTIC = {"role": "diagnostic"}


class Maker:
    """Random arrays over steps and seeds, or over neither."""

    def __init__(self, steps=3, seeds=1, *, over=True, bad=False):
        self.rng = np.random.default_rng(0)
        self.bad, self.over = bad, over
        self.lead = (steps, seeds) if over else ()
        self.coords = {"step": 10 * np.arange(steps), "seed": range(seeds)}

    def array(self, *dims, sizes=(), attrs=None, values=None):
        shape = (*self.lead, *sizes)
        made = self.rng.uniform(0.1, 1.0, shape) if values is None else values
        made = np.broadcast_to(np.asarray(made, float), shape).copy()
        if self.bad:
            # Some of each kind that is no number, and every value of the last step.
            flat = made.reshape(-1)
            flat[::3], flat[1::5] = np.nan, np.inf
            made = made * (np.nan if not self.over else 1.0)
            if self.over:
                made[-1] = np.nan
        lead = ("step", "seed") if self.over else ()
        return ((*lead, *dims), made, attrs or {})

    def node(self, kind, variables, **coords):
        coords |= self.coords if self.over else {}
        return xr.Dataset(variables, coords, {"measurement": kind, "id": kind})


def performance(m):
    names = ("loss", "rank_0_rate", "accuracy", "logit_difference")
    made = {k: m.array("split", sizes=(2,), attrs={"chance": 0.5}) for k in names}
    return m.node("performance", made, split=["train", "test"])


def attention(m):
    attrs = {"units": "attention", "chance": 0.05}
    sizes = {"sizes": (2, 2), "attrs": attrs}
    names = ("induction", "previous_token", "entropy")
    return m.node("attention", {k: m.array("layer", "head", **sizes) for k in names})


def patterns(m):
    dims = ("layer", "head", "query_pos", "key_pos")
    made = m.array(*dims, sizes=(2, 2, 3, 3), attrs={"role": "detail"})
    tokens = ["0 a", "1 <b>", "2 </script>"]
    return m.node("patterns", {"pattern": made}, query_pos=tokens, key_pos=tokens)


def circuit(m):
    sources, destinations = ["embed", "L0H0", "L0.mlp"], ["L0H0.q", "L0G0.k", "logits"]
    sizes, detail = {"sizes": (3, 3)}, {"role": "detail", "units": "logits"}
    by_edge = ("score", "low", "high", "often", "kept")
    dims = ("source", "destination")
    made = {k: m.array(*dims, **sizes, attrs=detail) for k in by_edge}
    made |= {k: m.array() for k in ("size", "nodes", "faithfulness", "random")}
    made |= {k: m.array(attrs=DIAGNOSTIC) for k in ("null_jaccard", "told", "error")}
    made["curve"] = m.array("share", sizes=(2,), attrs={"role": "detail"})
    labels = {"source": sources, "destination": destinations, "share": ["0.1", "1"]}
    return m.node("circuit", made, **labels)


def head_roles(m):
    roles = ["induction", "name_mover"]
    attrs = {"chance": 0.1}
    made = {k: m.array("layer", "head", sizes=(2, 2), attrs=attrs) for k in roles}
    dims, detail = ("role", "layer", "head"), {"role": "detail"}
    strength = m.array(*dims, sizes=(2, 2, 2), attrs=detail)
    # Between half a threshold and two, so that some heads play a role and some do not.
    made["strength"] = (strength[0], 2 * strength[1], detail)
    made["behaviour"], made["ratio_direct"] = m.array(), m.array()
    made["error"] = m.array(attrs=DIAGNOSTIC)
    return m.node("head_roles", made, role=roles)


def dictionaries(m):
    made = {k: m.array("layer", sizes=(2,)) for k in ("loss", "l0", "fvu")}
    detail = {"role": "detail"}
    sizes = {"sizes": (2, 2, 4), "attrs": detail}
    made["density"] = m.array("layer", "twin", "latent", **sizes)
    course = {"sizes": (2, 3), "attrs": detail}
    for name in ("loss", "l0", "dead"):
        made[f"{name}_course"] = m.array("layer", "update", **course)
    return m.node("dictionaries", made, layer=[0, 2], update=[0, 5, 9])


def sae_truth(m):
    names = ("mcc", "random", "found")
    made = {k: m.array("layer", sizes=(2,)) for k in names}
    made["represented"] = m.array()
    return m.node("sae_truth", made, layer=[0, 2])


def sae_quality(m):
    names = ("l0", "fvu", "ce_recovered", "kl_recovered", "dead", "dense")
    told = ("ce_clean", "ce", "ce_zero", "ce_mean", "n_tokens")
    made = {k: m.array("layer", sizes=(2,)) for k in names}
    made |= {k: m.array("layer", sizes=(2,), attrs=DIAGNOSTIC) for k in told}
    return m.node("sae_quality", made, layer=[0, 2])


def sae_features(m):
    names = ("features", "persist", "twin", "random", "births", "births_shared")
    names = (*names, "births_twin", "deaths", "splits", "drift")
    dims, sizes = ("model", "dictionaries_step", "layer"), (2, 3, 2)
    made = {k: m.array(*dims, sizes=sizes) for k in names}
    labels = {"dictionaries_step": [0, 10, 20], "layer": [0, 2]}
    return m.node("sae_features", made, **labels)


def sae_latents(m):
    attrs = {"role": "detail"}
    made = {"density": m.array("layer", "latent", sizes=(2, 4), attrs=attrs)}
    made["occurrences"] = m.array("token", sizes=(3,), attrs=attrs)
    return m.node("sae_latents", made, layer=[0, 1], token=["a", "<b>", "</script>"])


def weights(m):
    parts = ["W_E", "blocks.0.attn.W_Q", "blocks.0.mlp.W_in", "ln_f.weight", "W_U"]
    names = ("norm", "update_ratio")
    return m.node(
        "weights", {k: m.array("part", sizes=(5,)) for k in names}, part=parts
    )


def taylor(m):
    names = ("relative_error", "kl", "agreement", "loss")
    made = {k: m.array("order", sizes=(3,)) for k in names}
    status = {
        "role": "diagnostic",
        "flag_values": [0, 1, 2],
        "flag_meanings": "inside outside unmoved",
    }
    codes = np.minimum(np.arange(m.lead[0]), 1)[:, None]
    made["status"] = m.array(attrs=status, values=codes)
    made["radius"] = m.array()
    return m.node("taylor", made, order=["0", "1", "2"])


def decompose(m):
    made = {"size": m.array("part", sizes=(3,))}
    made["loss"] = m.array("changed", sizes=(4,), attrs={"units": "nats"})
    labels = {"part": ["OV", "QK", "interaction"]}
    labels["changed"] = ["neither", "OV", "QK", "both"]
    return m.node("decompose", made, **labels)


def loss_change(m):
    names = ("path", "order_1", "order_2")
    made = {k: m.array("group", sizes=(3,)) for k in names}
    made["change"] = m.array()
    made["predicted"] = m.array("order", sizes=(2,))
    made["residual"] = m.array(attrs=DIAGNOSTIC)
    labels = {"group": ["L0H0", "L0H1", "W_E"], "order": ["1", "2"]}
    return m.node("loss_change", made, **labels)


def pattern_change(m):
    made = {"divergence": m.array("layer", "head", sizes=(2, 2))}
    dims = ("layer", "head", "query_pos", "key_pos")
    detail = {"sizes": (2, 2, 3, 3), "attrs": {"role": "detail"}}
    made |= {k: m.array(*dims, **detail) for k in ("pattern", "reference_pattern")}
    tokens = ["0 a", "1 <b>", "2 </script>"]
    return m.node("pattern_change", made, query_pos=tokens, key_pos=tokens)


def updates(m):
    names = ("size", "effective_rank", "stable_rank", "intruders")
    made = {k: m.array("matrix", sizes=(2,)) for k in names}
    made["head_size"] = m.array("layer", "head", sizes=(2, 2))
    return m.node("updates", made, matrix=["W_E", "blocks.0.attn.W_Q"])


def chord(m):
    made = {"barrier": m.array()}
    made["loss"] = m.array("place", sizes=(3,), attrs={"role": "detail"})
    return m.node("chord", made, place=["0", "0.5", "1"])


def _estimate(m, *dims, sizes=()):
    names = ("standard_error", "rhat", "ess", "initial_loss", "sampled_loss", "n_beta")
    others = {k: m.array(*dims, sizes=sizes, attrs=DIAGNOSTIC) for k in names}
    status = m.array(*dims, sizes=sizes, attrs=STATUS, values=1.0)
    return others | {"llc": m.array(*dims, sizes=sizes), "status": status}


def _chains(m, kind):
    trace = m.array("chain", "draw", sizes=(2, 4), attrs={"role": "detail"})
    more = {"trace": trace, "heating": m.array(attrs=DIAGNOSTIC)}
    return m.node(kind, _estimate(m) | more)


def llc_grid(m):
    dims, sizes = ("step_size", "n_beta"), (2, 2)
    made = _estimate(m, *dims, sizes=sizes)
    made["inside"] = m.array(*dims, sizes=sizes, values=1.0, attrs=DIAGNOSTIC)
    # The temperature is an axis here.
    made = {k: v for k, v in made.items() if k != "n_beta"}
    made["beta_slope"] = m.array(attrs=DIAGNOSTIC)
    settings = {"step_size": ["1e-5", "1e-4"], "n_beta": ["10", "30"]}
    return m.node("llc_grid", made, **settings)


def llc_ablations(m):
    made = _estimate(m, "ablation", sizes=(2,))
    made |= {k: m.array("ablation", sizes=(2,)) for k in ("loss", "rank_0_rate")}
    return m.node("llc_ablations", made, ablation=["nothing", "L0H0"])


def llc_programs(m):
    names = ("parameters", "accuracy", "published", "published_spread", "repeated")
    names += ("repeated_spread", "same_function")
    made = {k: m.array("program", sizes=(1,), attrs=DIAGNOSTIC) for k in names}
    made |= _estimate(m, "program", "sampler", sizes=(1, 2))
    labels = {"program": ["peak"], "sampler": ["sgld", "hmc"]}
    return m.node("llc_programs", made, **labels)


def llc_conformance(m):
    made = _estimate(m, "case", "sampler", sizes=(2, 2))
    for name in ("exact", "error", "gradients"):
        made[name] = m.array("case", "sampler", sizes=(2, 2), attrs=DIAGNOSTIC)
    return m.node("llc_conformance", made, case=["a", "b"], sampler=["sgld", "hmc"])


def training(m):
    return m.node("training", {"loss": m.array()})


def changes(m):
    del m
    columns = {
        "measurement": ["weights", "performance"],
        "quantity": ["norm", "loss"],
        "where": ["W_E", ""],
        "from_step": [0, 10],
        "to_step": [10, 20],
        "before": [0.5, 1.0],
        "after": [1.0, 0.5],
        "strength": [2.0, 3.0],
        "share": [0.5, 1.0],
    }
    made = {name: ("change", values) for name, values in columns.items()}
    return xr.Dataset(made, attrs={"measurement": "changes", "tested": 9})


KINDS = {
    "training": training,
    "changes": changes,
    "performance": performance,
    "attention": attention,
    "patterns": patterns,
    "circuit": circuit,
    "head_roles": head_roles,
    "dictionaries": dictionaries,
    "sae_quality": sae_quality,
    "sae_features": sae_features,
    "sae_latents": sae_latents,
    "sae_truth": sae_truth,
    "weights": weights,
    "taylor": taylor,
    "decompose": decompose,
    "loss_change": loss_change,
    "pattern_change": pattern_change,
    "updates": updates,
    "chord": chord,
    "llc": lambda m: _chains(m, "llc"),
    "llc_grid": llc_grid,
    "llc_solution": lambda m: _chains(m, "llc_solution"),
    "llc_ablations": llc_ablations,
    "llc_programs": llc_programs,
    "llc_conformance": llc_conformance,
}
# Measured of the task or of known programs, and not at every checkpoint.
ONCE = ("llc_grid", "llc_solution", "llc_ablations", "llc_programs", "llc_conformance")
ONCE = (*ONCE, "sae_features", "sae_latents")
