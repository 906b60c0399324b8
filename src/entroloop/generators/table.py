"""The table of generators: a file with settings and a model, and one row here, add a generator."""

from __future__ import annotations

from pydantic import BaseModel

from entroloop.plugins import Table
from entroloop.plugins.settings import settings_with

_GENERATORS = {
    "mlp_diffusion": "entroloop.generators.mlp_diffusion:MLPDiffusion",
    "gaussian": "entroloop.generators.gaussian:Gaussian",
    "unet_diffusion": "entroloop.generators.unet.model:UNetDiffusion",
    "pipeline": "entroloop.generators.pipeline:Pipeline",
    "kde": "entroloop.generators.kde:KDE",
    "gaussian_copula": "entroloop.generators.gaussian_copula:GaussianCopula",
    "tiny_lm": "entroloop.generators.tiny_lm.model:TinyLM",
    "latent_diffusion": "entroloop.generators.latent_diffusion:LatentDiffusion",
    "ecosystem": "entroloop.generators.ecosystem:Ecosystem",
    "flow_matching": "entroloop.generators.flow_matching:FlowMatching",
    "unet_flow_matching": "entroloop.generators.unet.flow:UNetFlowMatching",
}
GENERATORS: Table[type[BaseModel]] = Table(
    "generators",
    _GENERATORS,
    settings_with("fit", "load", "stored_bytes", "name", "SAMPLING", "needs_previous"),
)
