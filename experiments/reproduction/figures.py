"""All figures by name."""

from functools import partial

from experiments.reproduction import convergence, sampling, scatter, verdict
from experiments.reproduction.section import Reproduction

FIGURES = {
    "guess": Reproduction(
        "Guess the numbers",
        "A population of 10 with 4 parents and 1 mutation guesses 10 numbers in [0, 99]; the slides show that it"
        " converges. Read as: the genetic algorithm beats random sampling, and the invasive species make it faster.",
        convergence.wanted("guess"),
        partial(convergence.draw, ("guess",)),
    ),
    "sampling": Reproduction(
        "Sampling methods",
        "The slides compare dense, sparse and random sampling with the samples of the GA and of the invasive GA. Read"
        " as: with as many points as a sparse grid, the genetic algorithms come close to the dense one, because they"
        " put their points where the loss is low.",
        sampling.wanted,
        sampling.draw,
    ),
    "mnist": Reproduction(
        "A network on digits",
        "An MLP on digits over learning rate and momentum, population 10, 4 parents, 1 mutation. Read as: the invasive"
        " GA finds better settings than the GA, and the GA better ones than random sampling.",
        convergence.wanted("mnist"),
        partial(convergence.draw, ("mnist",)),
    ),
    "cartpole": Reproduction(
        "PPO on CartPole",
        "PPO2 on CartPole over learning rate and maximum gradient norm, population 8, 4 parents, 1 mutation, 10 and 50"
        " generations. Read as: the search improves the agent, and the invasive GA improves it faster.",
        convergence.wanted("cartpole", "cartpole-50"),
        partial(convergence.draw, ("cartpole", "cartpole-50")),
    ),
    "scatter": Reproduction(
        "100 random samples against 100 of the GA",
        "Scatter plots over the search space: random samples are everywhere, those of the GA gather where the model is"
        " good. Read as: the GA's samples are better, and so is the best of them.",
        scatter.wanted,
        scatter.draw,
    ),
    "verdict": Reproduction(
        "Future work: the standard GA, and other models for the invaders",
        "The slides name as future work the comparison with the standard GA and other models for the invasive species;"
        " they claim nothing here.",
        verdict.wanted,
        verdict.draw,
    ),
}
