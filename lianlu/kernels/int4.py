"""Linear layers over 4-bit weights in the compressed-tensors "pack-quantized" layout.

A signed 4-bit value is stored as value + 8 in a nibble, eight nibbles to an int32, lowest first
(compressed-tensors, `compressors/pack_quantized`). Weights are `[N, K]`: N outputs, K inputs;
`group` inputs share one scale and, in the asymmetric form, one zero point.
"""

import torch
from torch import Tensor, nn

# Rows up to which the fused operator beats a dense bfloat16 product (256 to 4096 wide, 2 cores).
FUSED_ROWS = 4
FUSED_GROUPS = frozenset({32, 64, 128, 256})


def pack_int4(values: Tensor) -> Tensor:
    """Signed values -8..7, `[R, C]` with C a multiple of 8, to int32 `[R, C/8]`."""
    nibbles = (values.to(torch.int64) + 8).view(values.shape[0], -1, 8)
    shifts = torch.arange(0, 32, 4, device=values.device)
    # Summed in 64 bits: the top nibble would overflow a signed 32-bit sum.
    return (nibbles << shifts).sum(-1).to(torch.int32)


def unpack_int4(packed: Tensor) -> Tensor:
    """int32 `[R, C/8]` to signed int8 values -8..7, `[R, C]`."""
    shifts = torch.arange(0, 32, 4, device=packed.device, dtype=torch.int32)
    nibbles = (packed.unsqueeze(-1) >> shifts) & 15
    return nibbles.flatten(1).to(torch.int8) - 8


def dequantise(values: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
    """`(values - zero) * scale` by group: values `[N, K]`, scale and zero `[N, K/g]`."""
    rows, groups = scale.shape
    grouped = values.view(rows, groups, -1).to(scale.dtype)
    if zero is not None:
        grouped = grouped - zero.to(scale.dtype).unsqueeze(-1)
    return (grouped * scale.unsqueeze(-1)).view(rows, -1)


def int4_linear_reference(
    x: Tensor, packed: Tensor, scale: Tensor, zero: Tensor | None = None, bias: Tensor | None = None
) -> Tensor:
    """What `Int4Linear` computes, in float32: x `[..., K]` to `[..., N]`."""
    weight = dequantise(unpack_int4(packed), scale.float(), zero)
    return nn.functional.linear(x.float(), weight, None if bias is None else bias.float())


class Int4Linear(nn.Module):
    """`x @ W.T + bias` with W in 4 bits; state-dict names are those of compressed-tensors.

    On CPU up to `FUSED_ROWS` rows of bfloat16 go through torch's fused operator, over a copy of the
    weights in its own order, made on first use. Everything else is multiplied by the dequantised
    matrix: more rows, float32 (the operator is a scalar loop there), N not divisible by 16, a
    group outside 32 to 256. Dequantising costs some fifty products, so the dense matrix is kept;
    `keep_dense = False` trades that time for its memory.
    """

    keep_dense = True

    weight_packed: Tensor  # int32 [N, K/8]
    weight_scale: Tensor  # [N, K/g]
    weight_zero_point: Tensor | None  # int32 [N/8, K/g]: eight rows to a word, also + 8
    weight_shape: Tensor  # int64 [2]
    bias: Tensor | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        group: int,
        *,
        bias: bool = False,
        symmetric: bool = True,
        dtype: torch.dtype = torch.bfloat16,
    ) -> None:
        super().__init__()
        if in_features % group or group % 8:
            raise ValueError(f"{in_features} inputs do not split into groups of {group}")
        self.in_features = in_features
        self.out_features = out_features
        self.group = group
        groups = in_features // group
        zeros = torch.zeros(-(-out_features // 8), groups, dtype=torch.int32)
        packed = torch.zeros(out_features, in_features // 8, dtype=torch.int32)
        self.register_buffer("weight_packed", packed)
        self.register_buffer("weight_scale", torch.zeros(out_features, groups, dtype=dtype))
        self.register_buffer("weight_zero_point", None if symmetric else zeros)
        self.register_buffer("weight_shape", torch.tensor([out_features, in_features]))
        self.register_buffer("bias", torch.zeros(out_features, dtype=dtype) if bias else None)
        self._fused: tuple[Tensor, Tensor] | None = None
        self._dense: Tensor | None = None
        self.register_load_state_dict_post_hook(_forget_copies)

    @classmethod
    def from_quantised(
        cls, values: Tensor, scale: Tensor, zero: Tensor | None = None, bias: Tensor | None = None
    ) -> "Int4Linear":
        """From signed values `[N, K]`, scale and zero `[N, K/g]` (zero -8..7)."""
        rows, columns = values.shape
        layer = cls(
            columns,
            rows,
            columns // scale.shape[1],
            bias=bias is not None,
            symmetric=zero is None,
            dtype=scale.dtype,
        )
        layer.weight_packed = pack_int4(values)
        layer.weight_scale = scale
        layer.bias = bias
        if zero is not None:
            padded = nn.functional.pad(zero, (0, 0, 0, -rows % 8))
            layer.weight_zero_point = pack_int4(padded.T.contiguous()).T.contiguous()
        return layer

    def zero(self) -> Tensor | None:
        """Zero points as signed int8 `[N, K/g]`."""
        if self.weight_zero_point is None:
            return None
        return unpack_int4(self.weight_zero_point.T.contiguous()).T[: self.out_features]

    def weight(self, dtype: torch.dtype | None = None) -> Tensor:
        """The dequantised matrix `[N, K]`."""
        scale = self.weight_scale.to(dtype or self.weight_scale.dtype)
        return dequantise(unpack_int4(self.weight_packed), scale, self.zero())

    def forward(self, x: Tensor) -> Tensor:
        rows = x.reshape(-1, self.in_features)
        bias = None if self.bias is None else self.bias.to(x.dtype)
        if len(rows) > FUSED_ROWS or not self._can_fuse(x):
            return nn.functional.linear(x, self._densify(x.dtype), bias)
        packed, scale_offset = self._fuse()
        y = torch.ops.aten._weight_int4pack_mm_for_cpu(rows, packed, self.group, scale_offset)
        y = y.view(*x.shape[:-1], self.out_features)
        return y if bias is None else y + bias

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}, group={self.group}"

    def _can_fuse(self, x: Tensor) -> bool:
        return (
            x.device.type == "cpu"
            and x.dtype == torch.bfloat16
            and not (torch.is_grad_enabled() and x.requires_grad)
            and self.out_features % 16 == 0
            and self.group in FUSED_GROUPS
        )

    def _fuse(self) -> tuple[Tensor, Tensor]:
        if self._fused is None:
            nibbles = unpack_int4(self.weight_packed).to(torch.int32) + 8
            packed = torch.ops.aten._convert_weight_to_int4pack_for_cpu(nibbles, 1)
            scale = self.weight_scale.to(torch.bfloat16)
            zero = self.zero()
            # The operator computes value * scale + offset, not (value - zero) * scale.
            offset = torch.zeros_like(scale) if zero is None else -zero.to(scale.dtype) * scale
            self._fused = packed, torch.stack([scale.T, offset.T], -1).contiguous()
        return self._fused

    def _densify(self, dtype: torch.dtype) -> Tensor:
        if self._dense is None or self._dense.dtype != dtype:
            dense = self.weight(dtype)
            if not self.keep_dense:
                return dense
            self._dense = dense
        return self._dense


def _forget_copies(layer: nn.Module, _keys: object) -> None:
    if isinstance(layer, Int4Linear):
        layer._fused = layer._dense = None
