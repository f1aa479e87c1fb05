import torch

from lianlu.model import compat


def test_flash_names_exist_and_compute_attention():
    q, k, v = (torch.randn(2, 3, 5, 8, requires_grad=True) for _ in range(3))
    want = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    out, lse = compat.flash_forward(*(x.detach() for x in (q, k, v)))
    assert lse.shape == (2, 3, 5)
    torch.testing.assert_close(out, want.detach())
    weights = torch.randn_like(want)
    got = compat.flash_backward(weights, *(x.detach() for x in (q, k, v)), out, lse)
    torch.testing.assert_close(got, torch.autograd.grad(want, (q, k, v), weights))


def test_this_torch_has_varlen():
    assert compat.HAS_VARLEN
