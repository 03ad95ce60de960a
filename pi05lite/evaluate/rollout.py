"""Many trials side by side: their robots are asked about in one model call, then each acts."""

from tqdm.auto import tqdm


def rollouts(driver, trials, execute=25, together=32, progress=True, watch=None):
    """Run trials (an iterable of functions that make one) and return their Outcomes, in order.

    execute: steps of a plan that are done before the driver is asked again; together: how many
    trials run side by side; watch(number, trial, text): called before each plan is carried out.
    """
    waiting, running, done = iter(enumerate(trials)), [], {}
    total = len(trials) if hasattr(trials, "__len__") else None
    with tqdm(total=total, desc="rollouts", disable=not progress) as bar:
        while True:
            for number, make in waiting:
                running.append((number, make(), []))
                if len(running) >= together:
                    break
            if not running:
                return [done[number] for number in sorted(done)]
            plans = driver.plans([trial for _, trial, _ in running])
            for (number, trial, texts), (actions, text) in zip(running, plans):
                if not texts or texts[-1][1] != text:
                    texts.append((trial.steps, text))
                if watch:
                    watch(number, trial, text)
                carry_out(trial, actions, execute)
                if trial.over:
                    done[number] = trial.outcome(texts)
                    bar.update()
            running = [row for row in running if row[0] not in done]


def carry_out(trial, actions, steps):
    """Do the first `steps` actions, or as many as there are until the trial is over."""
    for _, action in zip(range(steps), actions):
        if trial.over:
            return
        trial.step(action)
