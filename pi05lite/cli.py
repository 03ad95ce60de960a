"""The command `pi05lite`. Heavy imports happen only inside the command that runs."""

import argparse
import sys

from pi05lite import __version__
from pi05lite.errors import Pi05Error


def main(argv=None):
    """Run one command and return its exit code; known errors print without a traceback (2)."""
    args = commands().parse_args(argv)
    try:
        return args.run(args)
    except Pi05Error as error:
        print(f"pi05lite: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\npi05lite: stopped", file=sys.stderr)
        return 130


def commands():
    """Build the parser: the one place that lists all commands."""
    parser = argparse.ArgumentParser("pi05lite", description="Learn and research pi0.5.")
    parser.add_argument("--version", action="version", version=f"pi05lite {__version__}")
    known = parser.add_subparsers(required=True, metavar="COMMAND")

    command = known.add_parser("doctor", help="say what works here and what is missing")
    command.set_defaults(run=run_doctor)

    data = known.add_parser("data", help="list and get datasets")
    known_data = data.add_subparsers(required=True, metavar="COMMAND")

    command = known_data.add_parser("list", help="datasets here, and public ones to get")
    command.set_defaults(run=run_data_list)

    command = known_data.add_parser("get", help="get episodes of a public dataset from the Hub")
    command.add_argument("name", help="a name from `pi05lite data list`, or a Hub id owner/name")
    command.add_argument("--episodes", help='"0:20", "3" or "0,4,7"; all where left out')
    command.add_argument("--out", help="the folder to put the dataset folder into")
    command.add_argument("--revision", help="another tag, branch or commit than the pinned one")
    command.set_defaults(run=run_data_get)

    tokens = known.add_parser("tokens", help="measure action tokenizers, train the codebook")
    known_tokens = tokens.add_subparsers(required=True, metavar="COMMAND")

    command = known_tokens.add_parser(
        "measure", help="rate, distortion and speed on held-out episodes, tokens by control rate")
    command.add_argument("--out", help="the result file; data/results/tokens.json where left out")
    command.set_defaults(run=run_tokens_measure)

    command = known_tokens.add_parser(
        "learn", help="pre-train one tiny policy with one tokenizer and measure it; adds a row")
    command.add_argument("tokenizer", help="bins, FAST or VQ")
    command.add_argument("--seconds", type=float, default=120, help="of training; 120")
    command.add_argument("--horizon", type=int, default=10, help="steps of a chunk; 10")
    command.add_argument("--out", help="data/results/token_learning.json where left out")
    command.set_defaults(run=run_tokens_learn)

    command = known_tokens.add_parser(
        "codebook", help="train the codebook for chunks of 50 x 7 that the kit carries")
    command.add_argument("--out", help="the folder; data/vq_50x7 where left out")
    command.add_argument("--seed", type=int, default=0)
    command.set_defaults(run=run_tokens_codebook)
    return parser


def run_doctor(args):
    """Print the report; exit code 1 where something that is needed is missing."""
    from pi05lite import doctor

    return 0 if doctor.show() else 1


def run_data_list(args):
    """Print the datasets found on this machine and the public ones of the manifest."""
    from pi05lite.data import manifest, paths

    for folder in paths.data_folders():
        found = [*paths.datasets(folder), *paths.vision_language(folder)]
        names = ", ".join(dataset.relative_to(folder).as_posix() for dataset in found)
        print(f"In {folder}: {names or 'no dataset'}")
    print("\nOn the Hugging Face Hub, with `pi05lite data get NAME`:")
    for entry in manifest.entries():
        print(f"  {entry.name:<13} {entry.about}")
        print(f"  {'':<13} {entry.repo} {entry.revision}, licence {entry.license}")
    return 0


def run_data_get(args):
    """Download, then say how to use the folder."""
    from pi05lite.data import hub

    folder = hub.get(args.name, args.episodes, args.out, revision=args.revision)
    print(f"ready: {folder}")
    return 0


def run_tokens_measure(args):
    """Write the table and the curve that the notebooks read."""
    from pi05lite.evaluate import results, tokens

    sets, table = tokens.rate_distortion()
    content = {"command": "pi05lite tokens measure", "seed": 0, "sets": sets, "table": table,
               "rates": tokens.control_rates()}
    print("written:", results.save(content, args.out or results.FOLDER / "tokens.json"))
    return 0


def run_tokens_learn(args):
    """Put the row of one tokenizer and horizon into the result file."""
    from pi05lite.evaluate import results, token_learning

    row = token_learning.measure(args.tokenizer, args.seconds, args.horizon)
    command = (f"pi05lite tokens learn {args.tokenizer} --seconds {args.seconds:g} "
               f"--horizon {args.horizon}")
    path = args.out or results.FOLDER / "token_learning.json"
    row["command"] = command
    print("written:", results.add_row(path, row, ("tokenizer", "robot", "horizon")))
    return 0


def run_tokens_codebook(args):
    """Train and save the default codebook, with where it comes from."""
    from pi05lite.evaluate import codebook

    print("written:", codebook.train(args.out, args.seed))
    return 0
