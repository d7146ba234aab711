"""A network's weights as the genome: what evolves plays, nothing is trained."""

from jaxga.tasks.neuroevolution.space import WeightSpace
from jaxga.tasks.neuroevolution.task import Neuroevolution, neuroevolution

__all__ = ["Neuroevolution", "WeightSpace", "neuroevolution"]
