"""The paper's findings in miniature: seven questions, each with its runs, result and figure.

`pi05lite lab findings` runs them (command.py). A plan is a trained policy, told by what differs
from the standard recipe in homes (plan.py); questions.py has the seven tables of plans; training.py
keeps every stage of training under a name made from all that it depends on, so that plans share
what they have in common and a second call trains nothing; trials.py does the same for rollouts.
"""
