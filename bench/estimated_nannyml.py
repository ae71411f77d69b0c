"""NannyML's CBPE on the scores of `bench.estimated`, in an environment of its own: `PYTHON bench/estimated_nannyml.py`.

Reads {case: {"reference": [scores, labels], "windows": [scores, ...]}} as JSON on standard input, writes {case: [AUC of
each window]}. A window is one chunk; all else is NannyML's default.
"""

import json
import os
import sys
import warnings

os.environ["NML_DISABLE_USAGE_LOGGING"] = "1"
warnings.simplefilter("ignore")


def main() -> None:
    """Answer what standard input asks."""
    import nannyml
    import pandas as pd

    found: dict[str, list[float]] = {}
    for case, given in json.load(sys.stdin).items():
        scores, labels = given["reference"]
        reference = pd.DataFrame({"score": scores, "decided": [int(one >= 0.5) for one in scores], "label": labels})
        cbpe = nannyml.CBPE(
            y_pred_proba="score", y_pred="decided", y_true="label", problem_type="classification_binary",
            metrics=["roc_auc"], chunk_size=max(map(len, given["windows"])),
        ).fit(reference)  # fmt: skip
        found[case] = []
        for window in given["windows"]:
            rows = pd.DataFrame({"score": window, "decided": [int(one >= 0.5) for one in window]})
            told = cbpe.estimate(rows).filter(period="analysis").to_df()
            found[case].append(float(told[("roc_auc", "value")].mean()))
    print(json.dumps({"version": nannyml.__version__, "estimates": found}))


if __name__ == "__main__":
    main()
