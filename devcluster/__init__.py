"""The development cluster: a real kind cluster whose nodes carry fake NVIDIA and Ascend devices."""
