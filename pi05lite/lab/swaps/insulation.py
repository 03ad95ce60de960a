"""Knowledge insulation on and off (arXiv 2505.23705): may the flow loss change the VLM?

Insulated, the expert learns beside the VLM and its loss can weigh as much as the words' (alpha 1).
"""

from pi05lite.lab.variant import numbers

insulated = numbers(insulate=True, alpha=1.0)
joint = numbers(insulate=False, alpha=10.0)
