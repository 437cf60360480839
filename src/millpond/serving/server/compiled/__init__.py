"""Models in a faster form: the same arithmetic without what a framework does around it.

scikit-learn spends 0.3 ms on a row of a linear model and several on gradient-boosted trees, almost all of
it on checks, tables and threads. Here an estimator becomes plain steps on arrays: linear models by numpy,
forests by LightGBM's evaluator, encoders by dictionaries. A class of the user's own stays as it is and finds
the estimators inside of it replaced. The form is used only when `proof` finds it equal to the original, and
hands over to the original whatever it does not take.
"""

from millpond.serving.server.compiled.form import Form, compiled

__all__ = ["Form", "compiled"]
