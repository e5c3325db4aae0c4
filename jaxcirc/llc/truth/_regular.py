"""Regular models: half a coefficient for every direction that matters."""

from ._coefficient import LearningCoefficient


def regular(d: int, symmetry: int = 0) -> LearningCoefficient:
    """λ = (d - k) / 2, m = 1: a minimum with k flat directions and d - k curved ones.

    A minimum is regular where the Hessian has full rank across the set of minima, as in
    classical statistics; λ is then half that rank. A symmetry of the loss, such as the
    rescaling of two layers, makes minima flat along its orbit, and each direction of
    the orbit takes half a dimension from λ. At singular minima λ is less than that.

    Args:
        d: Number of parameters.
        symmetry: k, the dimension of the orbit of minima; 0 for an isolated one.

    Raises:
        ValueError: `symmetry` is not between 0 and `d`.

    Example:
        >>> regular(10, symmetry=4).value
        3.0
    """
    if not 0 <= symmetry <= d:
        raise ValueError(
            f"truth.regular: `symmetry` is between 0 and d = {d}; got {symmetry}."
        )
    return LearningCoefficient((d - symmetry) / 2, 1)
