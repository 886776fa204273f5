"""Pairs that are there more than once: by their values, and by how they look."""

from __future__ import annotations

import torch

from i2i.data.duplicates import Doubles, look
from i2i.seeds import generator_for


def noise(seed: int, size: int = 32) -> torch.Tensor:
    """Return smooth noise (3,H,W) of uint8."""
    small = torch.randint(0, 256, (3, 8, 9), generator=generator_for(seed, "noise"))
    return torch.nn.functional.interpolate(small[None].float(), size=(size, size), mode="bilinear")[0].byte()


def bits_apart(one: int, other: int) -> int:
    return (one ^ other).bit_count()


def test_the_look_is_that_of_the_picture_at_any_size_depth_and_brightness():
    picture = noise(1, 64)
    smaller = torch.nn.functional.interpolate(picture[None].float(), size=(48, 48), mode="area")[0].byte()
    assert bits_apart(look(picture), look(smaller)) <= 3
    assert look(picture) == look(picture.to(torch.uint16) * 257) == look(picture.float() / 255)
    assert bits_apart(look(picture), look(noise(2, 64))) > 15
    assert look(torch.zeros(1, 20, 20)) == 0


def test_the_left_of_two_halves_that_is_brighter_is_a_bit_in_each_row():
    picture = torch.zeros(1, 8, 9)
    picture[:, :, :4] = 1
    assert look(picture) == sum(1 << (8 * row + 3) for row in range(8))


def test_a_map_of_classes_is_looked_at_by_its_numbers():
    numbers = torch.arange(72).view(8, 9) % 5
    stack = torch.nn.functional.one_hot(numbers, 5).permute(2, 0, 1).to(torch.uint8)
    assert look(stack) == look(numbers[None].float()) != 0


def test_doubles_across_splits_come_first_and_the_rest_is_counted():
    doubles = Doubles()
    for number in range(5):
        for split in ("train", "val") if number == 4 else ("train", "train"):
            doubles.add(split, f"{number}", bytes([number]), (0, 0))
    assert list(doubles.remarks()) == [
        "the same pair, value by value: 4 (train), 4 (val)",
        "the same pair, value by value: 0 (train), 0 (train)",
        "the same pair, value by value: 1 (train), 1 (train)",
        "the same pair, value by value: 5 times in all, 1 of them across splits",
    ]


def test_pairs_of_which_both_sides_look_alike_are_nearly_the_same():
    doubles = Doubles()
    source, target, other = look(noise(1)), look(noise(2)), look(noise(3))
    doubles.add("train", "a", b"a", (source, target))
    doubles.add("val", "b", b"b", (source ^ 0b111, target ^ 0b101))
    doubles.add("val", "c", b"c", (source, other))
    doubles.add("val", "d", b"d", (source ^ 0b1111, target ^ 0b111))
    assert list(doubles.remarks()) == [
        "nearly the same pair, by dHash of source and target: a (train), b (val)"
    ]


def test_plain_pictures_say_too_little_to_be_nearly_the_same():
    doubles = Doubles()
    for number in range(3):
        doubles.add("train", f"{number}", bytes([number]), (number, number))
    assert list(doubles.remarks()) == []
