"""One way to refuse what training cannot do."""


def require(fine: bool, complaint: str) -> None:
    """Refuse a request, with who complains in front of the complaint.

    Args:
        fine: Whether it can be done.
        complaint: What was asked for, what is possible, and what to do.

    Raises:
        ValueError: it is not fine.
    """
    if not fine:
        raise ValueError(f"saes.train: {complaint}")
