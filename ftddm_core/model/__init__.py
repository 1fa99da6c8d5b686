"""The networks: schedule, bijections, flow, denoiser, weights."""
