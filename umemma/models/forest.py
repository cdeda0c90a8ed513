"""Boosted trees as plain tensors: a file holds numbers only, and predicting needs no boosting library.

Walking 300 trees of depth 4 for 2,400 samples takes 0.05 s; the library needs less, but could neither be saved without
its own format nor moved to a GPU with the rest of a model.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

_ELEMENTS_AT_ONCE = 2**21  # (sample, tree) pairs


class Forest(nn.Module):
    """(sample, column) float32, NaN for what is missing -> (sample, output): the sum of the trees of each output.

    feature, left, right  (tree, node) int64: the column that a node compares, and where to go; a leaf leads to itself
    threshold             (tree, node): a smaller number goes left
    missing_left          (tree, node) bool: where NaN goes
    value                 (tree, node): of the leaves
    output                (tree,) int64: what a tree adds to
    """

    feature: torch.Tensor
    left: torch.Tensor
    right: torch.Tensor
    threshold: torch.Tensor
    missing_left: torch.Tensor
    value: torch.Tensor
    output: torch.Tensor

    def __init__(self, num_trees: int, num_nodes: int, depth: int, num_outputs: int) -> None:
        super().__init__()
        self.depth, self.num_outputs = depth, num_outputs
        for name in ("feature", "left", "right"):
            self.register_buffer(name, torch.zeros(num_trees, num_nodes, dtype=torch.int64))
        for name in ("threshold", "value"):
            self.register_buffer(name, torch.zeros(num_trees, num_nodes))
        self.register_buffer("missing_left", torch.zeros(num_trees, num_nodes, dtype=torch.bool))
        self.register_buffer("output", torch.zeros(num_trees, dtype=torch.int64))

    @classmethod
    def of_xgboost(cls, trees: Sequence[Mapping[str, Any]], output: Sequence[int], num_outputs: int) -> "Forest":
        """Return the trees of xgboost's JSON format; `output`: what each adds to."""
        num_nodes = max((len(tree["left_children"]) for tree in trees), default=1)
        forest = cls(len(trees), num_nodes, max((_depth(tree) for tree in trees), default=0), num_outputs)
        for number, tree in enumerate(trees):
            count = len(tree["left_children"])
            itself = torch.arange(count)
            for name, source in (("left", "left_children"), ("right", "right_children")):
                child = torch.tensor(tree[source])
                getattr(forest, name)[number, :count] = torch.where(child < 0, itself, child)
            is_leaf = torch.tensor(tree["left_children"]) < 0
            condition = torch.tensor(tree["split_conditions"], dtype=torch.float32)
            forest.feature[number, :count] = torch.tensor(tree["split_indices"]).masked_fill(is_leaf, 0)
            forest.threshold[number, :count] = condition.masked_fill(is_leaf, 0.0)
            forest.value[number, :count] = condition.masked_fill(~is_leaf, 0.0)
            forest.missing_left[number, :count] = torch.tensor(tree["default_left"]).bool()
        forest.output.copy_(torch.tensor(list(output), dtype=torch.int64))
        return forest

    @torch.no_grad()
    def forward(self, columns: torch.Tensor) -> torch.Tensor:
        """Return (sample, output) float32."""
        if not len(self.output):
            return columns.new_zeros(columns.shape[0], self.num_outputs)
        if torch.compiler.is_exporting():  # a program takes any number of rows at once; `len` would fix that number
            return self._summed(columns)
        size = max(1, _ELEMENTS_AT_ONCE // len(self.output))
        return torch.cat([self._summed(part) for part in columns.split(size)])

    def facts(self) -> dict[str, int]:
        """Return the facts needed to rebuild this before its numbers are loaded."""
        num_trees, num_nodes = self.feature.shape
        return {"trees": num_trees, "nodes": num_nodes, "depth": self.depth, "outputs": self.num_outputs}

    @classmethod
    def blank(cls, facts: Mapping[str, int]) -> "Forest":
        """Return the forest that `facts` describe."""
        return cls(facts["trees"], facts["nodes"], facts["depth"], facts["outputs"])

    def _summed(self, columns: torch.Tensor) -> torch.Tensor:
        num_trees, num_nodes = self.feature.shape
        first = torch.arange(num_trees, device=columns.device) * num_nodes
        node = first.expand(columns.shape[0], -1)
        for _ in range(self.depth):
            number = columns.gather(1, self.feature.take(node))
            goes_left = (number < self.threshold.take(node)) | (number.isnan() & self.missing_left.take(node))
            node = first + torch.where(goes_left, self.left.take(node), self.right.take(node))
        values = self.value.take(node).double()
        total = values.new_zeros(columns.shape[0], self.num_outputs)
        return total.index_add_(1, self.output, values).float()


def _depth(tree: Mapping[str, Any]) -> int:
    """Return the number of comparisons on the longest way; children come after their parents."""
    level = [0] * len(tree["left_children"])
    for node, children in enumerate(zip(tree["left_children"], tree["right_children"], strict=True)):
        for child in children:
            if child >= 0:
                level[child] = level[node] + 1
    return max(level)
