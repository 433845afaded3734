"""The map: order and results do not depend on the number of processes."""

from __future__ import annotations

import operator
from functools import partial

import pytest

from xlam_lib.parallel import pmap


@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_any_number_of_workers_gives_the_same_in_order(chunk):
    double = partial(operator.mul, 2)
    expected = [2 * n for n in range(20)]
    assert list(pmap(double, range(20), 1, chunk)) == expected
    assert list(pmap(double, range(20), 2, chunk)) == expected


def test_an_error_of_the_function_reaches_the_caller():
    with pytest.raises(ZeroDivisionError):
        list(pmap(partial(operator.floordiv, 1), [1, 0], 2))
