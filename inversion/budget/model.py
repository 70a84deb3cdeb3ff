"""Measurement models before they are used: what they return, and inputs to which their derivatives are blind."""

import jax
import jax.numpy as jnp
import numpy as np

from inversion.budget.quantity import Inputs, Model
from transport.errors import TanhengError


def checked(model: Model, inputs: Inputs, outputs: int) -> Model:
    """The model in double precision, once it is known to return what is asked for.

    Args:
        model: f of a mapping of names to numbers.
        inputs: of the model.
        outputs: number of axes of its result, 0 for a number and 1 for a vector.

    Raises:
        TanhengError: it asks for inputs that there are not, is not written in JAX, or returns something else.
    """

    def double(values):
        return jnp.asarray(model(values), float)

    try:
        with jax.enable_x64(True):
            shape = jax.eval_shape(double, inputs.values).shape
    except KeyError as error:
        raise TanhengError(
            "the model asks for an input that there is not", got=str(error), expected=", ".join(inputs.names),
            remedy="name the inputs as the model does",
        ) from error  # fmt: skip
    except TypeError as error:  # JAX's own errors about traced values are of this kind
        raise TanhengError(
            "the model cannot be evaluated", got=str(error).split("\n")[0][:200],
            expected="a number or a vector from functions of jax.numpy",
            remedy="use jnp in place of np, and jnp.where in place of if",
        ) from error  # fmt: skip
    if len(shape) != outputs or 0 in shape:
        raise TanhengError("the model returns something else", got=f"an array of shape {shape}",
                           expected="a vector" if outputs else "a number",
                           remedy="propagate takes a number, propagate_joint and draws_of a vector")  # fmt: skip
    return double


def refuse_blind(model: Model, inputs: Inputs, y: np.ndarray, C: np.ndarray) -> None:
    """Refuse inputs whose derivative is zero although their error changes the result, as x² at 0 ± u.

    Args:
        model, inputs: of the measurement.
        y: (m,) or () f(x).
        C: (m, n) ∂f/∂x.

    Raises:
        TanhengError: f(x + u) or f(x − u) is not f(x) where ∂f/∂x is zero.
    """
    values, blind = inputs.values, []
    for i in np.flatnonzero((inputs.u > 0.0) & (C == 0.0).any(axis=0)):
        name, u = inputs.names[i], inputs.u[i]
        with jax.enable_x64(True):
            moved = [np.atleast_1d(model(values | {name: values[name] + s * u})) for s in (1.0, -1.0)]
        if any((f != np.atleast_1d(y))[C[:, i] == 0.0].any() for f in moved):
            blind.append(name)
    if blind:
        raise TanhengError(
            "the linear law is blind to inputs", got=", ".join(blind),
            expected="a derivative that is not zero where u changes the result",
            remedy="use monte_carlo; validate shows how far the linear law is off",
        )  # fmt: skip
