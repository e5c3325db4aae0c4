"""When a latent is the one of an earlier checkpoint, and when it counts at all."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Rules:
    """Thresholds by which features are followed.

    There are two thresholds each, since with one, whatever lies at it would come and go
    with every rounding: what is new has to pass the higher one, and what is established
    stays above the lower one.

    Args:
        enter: The similarity that links a latent to one seen once.
        stay: The similarity that continues a feature that was linked before.
        density: The share of tokens on which a latent must fire to begin a life.
        stay_density: The share on which it must fire to continue one.
        persist: For how many checkpoints something must be there to count as having
            come, and be away to count as having gone; at least 1.

    Raises:
        ValueError: a threshold for staying is above that for entering, or `persist` is
            below 1.
    """

    enter: float = 0.7
    stay: float = 0.6
    density: float = 1e-5
    stay_density: float = 3e-6
    persist: int = 2

    def __post_init__(self):
        """Refuse thresholds in the wrong order.

        Raises:
            ValueError: a threshold for staying is above that for entering, or `persist`
                is below 1.
        """
        if self.stay > self.enter or self.stay_density > self.density:
            raise ValueError(
                "Rules: what stays has lower thresholds than what enters; got "
                f"similarities {self.stay} and {self.enter}, densities "
                f"{self.stay_density} and {self.density}."
            )
        if self.persist < 1:
            raise ValueError(
                f"Rules: `persist` must be at least 1; got {self.persist}."
            )
