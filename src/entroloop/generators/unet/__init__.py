"""Image diffusion with diffusers' U-Net: settings, network, training and sampling."""
