"""Draw what `llc_deep_linear.py` found: python benchmarks/plot_deep_linear.py

Needs matplotlib. Reads docs/results/deep_linear_*.jsonl and writes deep_linear.png
beside them.
"""

import json
import pathlib

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

RESULTS = pathlib.Path(__file__).parents[1] / "docs" / "results"
STYLE = {
    "hmc": ("#D55E00", "D", "HMC, float64"),
    "large_hmc": ("#E69F00", "^", "HMC, 9 to 20 layers, widths 50 to 118"),
    "sgld": ("#0072B2", "o", "SGLD"),
    "rmsprop_sgld": ("#009E73", "s", "RMSprop-SGLD"),
}


def main():
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
    for name, (colour, marker, label) in STYLE.items():
        file = RESULTS / f"deep_linear_{name}.jsonl"
        if not file.exists():
            continue
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        rows = [row for row in lines if "network" in row]
        look = {"color": colour, "marker": marker, "ls": "", "ms": 5, "alpha": 0.8}
        left.plot(
            [r["exact"] for r in rows], [r["found"] for r in rows], label=label, **look
        )
        gradients = rows[0]["gradients_per_chain"]
        right.plot(
            [r["parameters"] for r in rows],
            [100 * r["error"] for r in rows],
            label=f"{label}, {gradients:,} gradients per chain",
            **look,
        )
    ends = [12, 3000]
    left.plot(ends, ends, color="#9aa5b1", ls=":", zorder=0)
    left.set(xscale="log", yscale="log", xlabel="exact coefficient", ylabel="estimate")
    right.axhline(0, color="#9aa5b1", ls=":", zorder=0)
    right.set(xscale="log", xlabel="parameters", ylabel="error (%)")
    for axes in (left, right):
        axes.grid(color="#e4e7eb")
        axes.legend(frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle("Deep linear networks: layers reduced to the rank of the whole")
    figure.savefig(RESULTS / "deep_linear.png", dpi=110)


if __name__ == "__main__":
    main()
