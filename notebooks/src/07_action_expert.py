# %% [markdown] assign=true
# # 07 · The action expert: two sets of weights, one attention
#
# **The question:** a VLM that writes words is large and slow. How does a small network beside it write a second of
# motion in a tenth of a second, with all that the VLM sees and knows, and without spoiling it?

# %% [markdown]
# ![Two stacks of layers side by side: the VLM reads pictures, prompt and subtask once; the action expert reads a noisy chunk ten times and in every layer the VLM's keys and values; the flow time sets its norms; no gradient goes back.](figures/07_action_expert.png)
#
# When you are done you can
#
# 1. let two networks with weights of their own share one attention, and say what must agree between them,
# 2. tell a network the flow time through its norms, and start it as the identity,
# 3. draw a chunk in ten steps that pay for the VLM once,
# 4. cut exactly one way of the gradient (knowledge insulation), and say what that buys and what it does not.
#
# Reading 25 minutes, four exercises 40 minutes, computing about two minutes on two CPU cores. You need
# chapters 03 (attention, masks, the cache) and 06 (flow matching). What is built here lies in
# `pi05lite/model/expert.py`, `layers.py` and `pi05.py`.

# %% assign=true
import copy
import os
import time
from dataclasses import replace

import plotly.graph_objects as go
import torch
from torch import nn

import pi05lite
from pi05lite import checks, config
from pi05lite.model import flow, layers
from pi05lite.model.pi05 import Pi05
from pi05lite.tokens.kind import Kind

torch.manual_seed(0)
STEPS = int(os.environ.get("PI05LITE_STEPS", 10_000))  # no more than so many training steps a cell

# %% [markdown]
# ## 1 · Why a second network
# Action tokens (chapter 05) spell a chunk one by one: FAST needs 82 for 50 steps of the arm below, **one VLM run
# each**. Flow matching (chapter 06) makes all steps of the chunk at once, but asks the network ten times. Ten runs
# of a VLM are no better, so pi0.5 asks a smaller network, the action expert. The real sizes, counted by running
# each part without numbers in it:

# %%
from pi05lite.model.describe import H200

real = pi05lite.describe(config.pi05(), H200)
real

# %% [markdown]
# A run of the expert costs a hundredth of the arithmetic that comes before it. But it is small, it has no eyes, and
# it was never on the web. All that it knows of the room it must **read** from the VLM. Here is a complete pi0.5 of
# 0.8 M parameters on real data, to take apart:

# %%
from pi05lite.train.setup import available, prepare

name = available("cr5")[0]
tower = config.VisionConfig(name="test_convnext3", image_size=64, act=None)
shared = dict(depth=3, heads=4, kv_heads=1, head_dim=16)
sizes = replace(config.tiny(), horizon=10, vision=tower,
                vlm=config.TransformerConfig(width=64, mlp=256, **shared),
                expert=config.TransformerConfig(width=48, mlp=192, **shared))
setup = prepare([name], sizes, shares={"words": 3.0}, power=1)
c = setup.config

# %%
model = Pi05(c)
batch = setup.processor.collate([setup.train[name].example(0, t) for t in (5, 25)])
prefix = model.prefix(batch)
print("hidden states of the VLM ", tuple(prefix.hidden.shape))
print("its keys, layer by layer ", [tuple(k.shape) for k, _ in prefix.cache])
print("the expert's velocity    ", tuple(model.velocity(prefix, batch.actions, torch.rand(2)).shape))

# %% [markdown]
# The VLM is 64 wide, the expert 48. What they share is not a width but a **head**: the VLM leaves keys and values of
# 16 numbers in each layer, and the expert's queries have 16 numbers too. **Predict:** which of these sizes may differ
# between the two, and which may not: width, feed-forward width, depth, heads, head size?

# %%
for size in ("width", "mlp", "depth", "heads", "head_dim"):
    try:
        replace(c, expert=replace(c.expert, **{size: 2 * getattr(c.expert, size)}))
        print(f"{size:9} may differ")
    except pi05lite.errors.ConfigError:
        print(f"{size:9} must agree")

# %% [markdown]
# Depth too: layer 1 of the expert reads layer 1 of the VLM, layer 2 reads layer 2. It never sees the VLM's last word
# alone, but its thinking at every stage.
#
# $$\text{read}_\text{flow} = \mathrm{softmax}\!\left(\frac{Q_\text{expert}\,[K_\text{VLM};\;K_\text{expert}]^\top}{\sqrt K}\right)[V_\text{VLM};\;V_\text{expert}]$$
#
# One softmax over both. So a step of the chunk shares out 1 between the pictures, the words, and the other steps.

# %% [markdown] assign=true
# ### Exercise 1 · Two sets of weights, one attention (medium, 10 minutes)
# One head, no places. `x` (T, D) are prefix tokens, `y` (S, D') flow tokens. `vlm` and `expert` are each three
# matrices (Wq, Wk, Wv) onto K numbers: `x @ Wq`. `valid` (T,) is False at padding in the prefix. Prefix tokens read
# the prefix. Flow tokens read the prefix **and** each other, in one softmax. Return what each reads:
# (T, K) and (S, K).

# %% exercise="shared_attention"
def shared_attention(x, y, vlm, expert, valid):
    """What the prefix reads (T, K), what the flow tokens read (S, K)."""
    ### BEGIN SOLUTION
    q, k, v = (x @ w for w in vlm)  # (T, K) each
    own_q, own_k, own_v = (y @ w for w in expert)  # (S, K) each
    hide = torch.where(valid, 0.0, -1e30)
    root = q.shape[-1] ** 0.5
    prefix = (q @ k.T / root + hide).softmax(dim=-1) @ v
    keys, values = torch.cat([k, own_k]), torch.cat([v, own_v])  # (T + S, K)
    hide = torch.cat([hide, torch.zeros(len(y))])
    return prefix, (own_q @ keys.T / root + hide).softmax(dim=-1) @ values
    ### END SOLUTION


# %% check="shared_attention" points=4
from pi05lite.checks.expert import check_shared_attention

points = check_shared_attention(shared_attention)
### BEGIN HIDDEN TESTS
one = [torch.eye(4)] * 3
a, b = shared_attention(torch.zeros(3, 4), torch.ones(1, 4), one, one, torch.ones(3, dtype=torch.bool))
share = torch.tensor(2.0).exp() / (3 + torch.tensor(2.0).exp())  # itself, beside three keys of 0
points = points if torch.allclose(b, share.expand(1, 4)) else 0
### END HIDDEN TESTS
points

# %% [markdown]
# <details><summary>Hint</summary>
#
# Make q, k, v of each side with its own matrices. For the flow rows put the keys below each other,
# `torch.cat([k, own_k])`, the values in the same order, and hide the padding of the prefix before the softmax.
# </details>
#
# <details><summary>Why not two attentions, one to the prefix and one to itself?</summary>
#
# Then each would share out its own 1: a step of the chunk would have to read the prefix as strongly when it has
# nothing to say. pi0.5 lets the prefix and the chunk compete. Chapter 13 can compare the two.
# </details>

# %%
def packaged_attention(x, y, vlm, expert, valid):
    """The package's attention, which takes a batch and heads, behind the prefix's keys and values."""
    q, k, v = (x @ w for w in vlm)
    own_q, own_k, own_v = (y @ w for w in expert)
    see = layers.attention_bias(valid[None, None], x.dtype)
    both = layers.attention_bias(torch.cat([valid, valid.new_ones(len(y))])[None, None], x.dtype)
    attend = lambda q, k, v, bias: layers.attend(q[None, :, None], k[None, None], v[None, None],
                                                 bias)[0]
    return attend(q, k, v, see), attend(own_q, torch.cat([k, own_k]), torch.cat([v, own_v]), both)


shared_attention = checks.going_on("shared_attention", shared_attention, packaged_attention)

# %% [markdown]
# Two properties are worth a test of their own. Change the chunk: the prefix must not notice. Change the prefix: the
# chunk must.

# %%
x, y, valid = torch.randn(7, 12), torch.randn(4, 6), torch.arange(7) < 6
vlm, expert = torch.randn(3, 12, 16), torch.randn(3, 6, 16)
before = shared_attention(x, y, vlm, expert, valid)
other_chunk = shared_attention(x, torch.randn_like(y), vlm, expert, valid)
other_prefix = shared_attention(x + 1, y, vlm, expert, valid)
print("the prefix notices another chunk: ", not torch.equal(before[0], other_chunk[0]))
print("the chunk notices another prefix: ", not torch.allclose(before[1], other_prefix[1]))

# %% [markdown]
# ## 2 · What time is it? Norms that are told
# At flow time 0 the expert must guess from noise alone, at 0.9 it polishes a chunk that is nearly there: two jobs,
# one set of weights. So each layer must know $\tau$. First, $\tau$ becomes waves, as places do in a transformer:

# %%
from pi05lite.widgets import pictures

tau = torch.linspace(0, 1, 101)
waves = flow.time_embedding(tau, c.expert.width)
figure = go.Figure(go.Heatmap(x=tau, z=waves.T.numpy().round(2), colorscale="RdBu", showscale=False))
figure.update_layout(**pictures.LAYOUT, height=300,
                     title_text="flow time as waves: sines above, cosines below")
figure.update_xaxes(title="flow time (0 noise, 1 action)").update_yaxes(autorange="reversed")

# %% [markdown]
# pi0 mixes these waves into each action token **once**, at the entry. pi0.5 puts them through a small MLP and lets
# the result set **every norm** of the expert: a scale, a shift, and a **gate** on what the layer may add (adaptive
# RMSNorm; the idea is DiT's):
#
# $$x \;\leftarrow\; x + g(\tau)\;\mathrm{branch}\big(\mathrm{rms}(x)\,(1 + s(\tau)) + b(\tau)\big)$$
#
# All three are read from the time by one linear layer, and that layer **starts at 0**. **Predict:** what does a new
# expert of 18 layers then do to its tokens?

# %% [markdown] assign=true
# ### Exercise 2 · A block that starts as the identity (medium, 10 minutes)
# Complete the start and the forward pass. `rms(x)` divides by $\sqrt{\mathrm{mean}(x^2) + 10^{-6}}$ over the last
# axis. `self.read(cond)` gives scale, shift and gate of a batch (B, 3 D), in this order.

# %% exercise="AdaptiveBlock"
class AdaptiveBlock(nn.Module):
    """x + gate * branch(modulated norm of x); scale, shift and gate are read from a condition."""

    def __init__(self, width, cond_width, branch):
        super().__init__()
        self.branch = branch
        self.read = nn.Linear(cond_width, 3 * width)  # scale, shift, gate
        ### BEGIN SOLUTION
        nn.init.zeros_(self.read.weight)
        nn.init.zeros_(self.read.bias)
        ### END SOLUTION

    def forward(self, x, cond):
        """x (B, S, D), cond (B, D') -> (B, S, D)."""
        ### BEGIN SOLUTION
        scale, shift, gate = self.read(cond)[:, None].chunk(3, dim=-1)  # (B, 1, D) each
        rms = x / (x.square().mean(dim=-1, keepdim=True) + 1e-6).sqrt()
        return x + gate * self.branch(rms * (1 + scale) + shift)
        ### END SOLUTION


# %% check="AdaptiveBlock" points=4
from pi05lite.checks.expert import check_adaptive_block

points = check_adaptive_block(AdaptiveBlock)
### BEGIN HIDDEN TESTS
block = AdaptiveBlock(4, 2, nn.Identity())
with torch.no_grad():
    block.read.bias[8:] = 2.0
out = block(torch.full((1, 1, 4), 3.0), torch.ones(1, 2))
points = points if torch.allclose(out, torch.tensor(5.0), atol=1e-4) else 0
### END HIDDEN TESTS
points

# %% [markdown]
# <details><summary>Hint</summary>
#
# `nn.init.zeros_` for the weight and for the bias. In the forward pass, `self.read(cond)[:, None]` makes room for the
# S tokens, and `.chunk(3, dim=-1)` cuts it in three.
# </details>
#
# <details><summary>Why 1 + scale?</summary>
#
# With the linear layer at 0 every number is 0. A scale of 0 would shut out x; 1 + 0 is a plain norm.
# </details>

# %%
class PackagedBlock(nn.Module):
    """The same of the package's pieces."""

    def __init__(self, width, cond_width, branch):
        super().__init__()
        self.branch, self.norm = branch, layers.AdaptiveRMSNorm(width)
        self.read = layers.Modulation(cond_width, width, norms=1, reads=3)

    def forward(self, x, cond):
        y, gate = self.norm(x, *self.read(cond)[0])
        return torch.addcmul(x, gate, self.branch(y))


AdaptiveBlock = checks.going_on("AdaptiveBlock", AdaptiveBlock, PackagedBlock)

# %% [markdown]
# So a new expert passes its tokens through untouched. How can it learn? The first step can only open gates: look at
# the gradient of the flow loss in a new model, part by part.

# %%
def gradient_norms(model, loss):
    """The length of the loss's gradient in each part of the model."""
    model.zero_grad()
    loss.backward()
    parts = {"tower": model.vision, "VLM": nn.ModuleList([model.vlm, model.embedding]),
             "time to norms": nn.ModuleList([model.expert.time, model.expert.transformer.modulation]),
             "expert's layers": model.expert.transformer.layers}
    length = lambda part: sum(p.grad.square().sum() for p in part.parameters() if p.grad is not None)
    return {name: float(length(part)) ** 0.5 for name, part in parts.items()}


loss = model.flow_losses(model.prefix(batch), batch.actions).mean()
print({part: round(norm, 4) for part, norm in gradient_norms(model, loss).items()})

# %% [markdown]
# Behind a closed gate nothing gets a gradient: not the expert's attention, and not the VLM. After one step the
# gates are ajar, and all of it learns. (Neither public PyTorch port starts so: one redraws the linear layer, the
# other keeps a random bias. It does no harm with trained weights, and shows only when you train from scratch.)
#
# **Mind this trap:** a test that asks "does the flow loss leave the VLM alone?" passes on *any* new model. We
# open the gates before we ask, in section 4.
#
# ## 3 · Ten steps, one prefix
# Sampling asks the expert ten times, each time with another $x$. Pictures, prompt and subtask never look at the
# chunk (chapter 03). So of everything in this table, only the last row depends on $x$:

# %%
layout = prefix.layout.append(model.expert.kinds(c.horizon))
print(layout.describe())

# %% [markdown] assign=true
# ### Exercise 3 · Denoise on a cache (easy, 10 minutes)
# `prefix()` runs the VLM and gives its cache. `expert(x, tau, cache)` gives the velocity, and, as attention layers
# do, the cache **with the flow tokens' own keys and values behind it**. Noise is at tau = 0. Return the chunk after
# `steps` Euler steps. Which cache goes into the next step?

# %% exercise="denoise"
def denoise(prefix, expert, noise, steps):
    """The chunk, from noise."""
    ### BEGIN SOLUTION
    cache, x = prefix(), noise
    for k in range(steps):
        velocity, _ = expert(x, k / steps, cache)  # its own keys are good for this x alone
        x = x + velocity / steps
    return x
    ### END SOLUTION


# %% check="denoise" points=4
from pi05lite.checks.expert import check_denoise

points = check_denoise(denoise)
### BEGIN HIDDEN TESTS
grow = lambda x, tau, cache: (torch.full_like(x, len(cache)), cache + [0])
points = points if torch.allclose(denoise(lambda: [0], grow, torch.zeros(2), 5), torch.ones(2)) else 0
### END HIDDEN TESTS
points

# %% [markdown]
# <details><summary>Hint</summary>
#
# Four lines: the cache once, before the loop; then Euler as in chapter 06. Leave the second thing that `expert`
# gives back alone.
# </details>
#
# <details><summary>My chunk is a little off, without any error</summary>
#
# Caches of common libraries grow **in place** when a layer is run. Then the second step reads the keys of the first
# step's noise too. In openpi's code the cache is read and never extended; if yours grows, cut it back after each step.
# </details>

# %%
def packaged_denoise(prefix, expert, noise, steps):
    """The package's Euler steps."""
    cache = prefix()
    return flow.euler(lambda x, tau: expert(x, float(tau[0]), cache)[0], noise, steps)[-1]


denoise = checks.going_on("denoise", denoise, packaged_denoise)

# %% [markdown]
# On the real thing. The gates are opened by hand first (as training would), or the expert would not listen:

# %%
def opened(model):
    """The model with the gates of its expert open at random, as they are after training."""
    torch.manual_seed(0)
    with torch.no_grad():
        for p in model.expert.transformer.modulation.parameters():
            p.normal_(0, 0.3)
    return model.eval()


@torch.no_grad()
def run_prefix():
    """The VLM over pictures and words."""
    return model.prefix(batch, hidden=False).cache


@torch.no_grad()
def run_expert(x, tau, cache):
    """The velocity of a Pi05's expert, and the cache with its own tokens behind."""
    tokens, condition = model.expert.embed(x, torch.full((len(x),), tau))
    context = model.context(replace(prefix, cache=cache), c.horizon)
    hidden, longer = model.expert.transformer(tokens, context.bias, context.turn, cache, condition)
    return model.expert.action_out(hidden), longer


# %%
opened(model)
noise = torch.randn(2, c.horizon, c.action_size)
chunk = denoise(run_prefix, run_expert, noise, 10)
theirs = model.sample(batch, 10, noise=noise)[-1]
print(f"largest difference to Pi05.sample: {(chunk - theirs).abs().max():.1e}")

# %% [markdown]
# Now the same without a cache: the VLM runs again before each step. Same chunk, other price. (This VLM is tiny;
# the real one stands below.)

# %%
def uncached(steps):
    """The chunk with a new prefix at each step."""
    x = noise
    for k in range(steps):
        x = x + run_expert(x, k / steps, run_prefix())[0] / steps
    return x


began = time.perf_counter()
again = uncached(10)
middle = time.perf_counter()
denoise(run_prefix, run_expert, noise, 10)
ratio = (middle - began) / (time.perf_counter() - middle)
print(f"largest difference {(again - chunk).abs().max():.1e}, {ratio:.1f} times the time, at this size")

# %%
once = sum(p.flops for p in real.parts if p.runs == 1)
step = real.parts[-1].flops
print(f"the real pi0.5: {(once + 10 * step) / 1e9:,.0f} GFLOP a chunk with a cache, "
      f"{10 * (once + step) / 1e9:,.0f} without: {10 * (once + step) / (once + 10 * step):.1f} times")
print(f"a step more costs {step / (once + 10 * step):.1%}")

# %% [markdown]
# So by arithmetic the number of steps is nearly free, and it is the *prefix* that one must think about: fewer
# cameras, fewer patches, shorter prompts. On a GPU the expert weighs more than this. The last column of the table in
# section 1 is the least time on an H200: ten runs of the expert take half as long as the VLM, because each of them
# reads all its weights for the sake of 50 tokens. Memory is the limit there, and not arithmetic (chapter 14).
#
# ## 4 · Knowledge insulation
# Two losses meet in the VLM: the **text** loss (words, subtasks, action tokens) through its hidden states, and the
# **flow** loss through the keys and values that the expert reads. When the expert is new, its gradient knows
# nothing of pictures or words, and it pulls on weights that took web-scale data to find. Knowledge insulation
# ([arXiv 2505.23705](https://arxiv.org/abs/2505.23705)) stops it, at exactly one place: where the expert reads.
#
# | | forward | backward |
# |---|---|---|
# | text loss | as ever | trains the VLM |
# | flow loss | as ever: the expert reads keys and values | trains the expert, stops at keys and values |

# %% [markdown] assign=true
# ### Exercise 4 · Stop the gradient at one place (medium, 10 minutes)
# `hidden` (B, T, D) are the VLM's hidden states, `cache` is a list with one (keys, values) pair for each layer.
# `text_loss(hidden)` and `flow_loss(cache)` each give a number with its gradient. Return
# text + alpha x flow, such that the flow loss trains the expert as before, and the VLM not at all.

# %% exercise="insulated_loss"
def insulated_loss(hidden, cache, text_loss, flow_loss, alpha):
    """text_loss + alpha * flow_loss, without gradient from the flow loss into the VLM."""
    ### BEGIN SOLUTION
    still = [(keys.detach(), values.detach()) for keys, values in cache]
    return text_loss(hidden) + alpha * flow_loss(still)
    ### END SOLUTION


# %% check="insulated_loss" points=4
from pi05lite.checks.expert import check_insulated_loss

points = check_insulated_loss(insulated_loss)
### BEGIN HIDDEN TESTS
w = torch.ones(2, requires_grad=True)
acts = lambda cache: (cache[0][0] * cache[0][1]).sum()
insulated_loss(w, [(w * 3, w * 5)], lambda h: h.sum(), acts, 7.0).backward()
points = points if w.grad.tolist() == [1.0, 1.0] else 0
### END HIDDEN TESTS
points

# %% [markdown]
# <details><summary>Hint</summary>
#
# `tensor.detach()` gives the same numbers back without their history. Build a new list of detached pairs, and leave the
# hidden states as they are, history and all.
# </details>
#
# <details><summary>Why not torch.no_grad() around the VLM?</summary>
#
# Then the text loss could not train it either: that is a frozen VLM, which the paper also tried (see "try a
# change"). The same forward pass serves both losses; only one of the two ways back is cut.
# </details>

# %%
def packaged_insulated_loss(hidden, cache, text_loss, flow_loss, alpha):
    """What `Prefix.detach` does."""
    return text_loss(hidden) + alpha * flow_loss([(k.detach(), v.detach()) for k, v in cache])


def joint_loss(hidden, cache, text_loss, flow_loss, alpha):
    """The same loss, both ways back open."""
    return text_loss(hidden) + alpha * flow_loss(cache)


insulated_loss = checks.going_on("insulated_loss", insulated_loss, packaged_insulated_loss)

# %% [markdown]
# The pi0.5 paper itself trains with both ways open and $\alpha = 10$; with the stop, $\alpha = 1$ is enough. Both in
# one function, of the package's parts and your loss:

# %%
def loss_of(model, batch, text, alpha, stop, draws=8):
    """text * (words + action tokens) + alpha * flow, with the way back to the VLM open or stopped."""
    prefix = model.prefix(batch)
    rows = batch.action_mask.flatten(1).any(1)  # those with actions; captions have none
    mask = batch.action_mask[rows]

    def say(hidden):
        losses, places = model.token_losses(replace(prefix, hidden=hidden), batch)
        action = batch.kinds[places[:, 0], places[:, 1]] == Kind.ACTION
        return text * sum(losses[some].mean() for some in (action, ~action) if some.any())

    def act(cache):
        if alpha == 0 or not rows.any():
            return prefix.hidden.new_zeros(())
        seen = replace(prefix, cache=cache).select(rows)
        return model.flow_losses(seen, batch.actions[rows], mask, draws).sum() / mask.sum() / draws

    return (insulated_loss if stop else joint_loss)(prefix.hidden, prefix.cache, say, act, alpha)


# %% [markdown]
# Measured on the opened model. The number is the same with and without the stop; what reaches the VLM is not:

# %%
for label, arm in {"text alone": dict(text=1, alpha=0, stop=False),
                   "flow, way open": dict(text=0, alpha=1, stop=False),
                   "flow, stopped": dict(text=0, alpha=1, stop=True)}.items():
    torch.manual_seed(1)
    loss = loss_of(model, batch, **arm)
    norms = gradient_norms(model, loss)
    print(f"{label:15} loss {loss.item():.6f}   gradient on",
          "  ".join(f"{part} {norm:.3g}" for part, norm in norms.items()))

# %% [markdown]
# Not small: **exactly 0**. And the expert's own gradient is the same to the last digit.
#
# ## 5 · The same as the package

# %%
x, y, valid = torch.randn(9, 12), torch.randn(5, 6), torch.arange(9) != 8
vlm, expert = torch.randn(3, 12, 16), torch.randn(3, 6, 16)
for mine, theirs in zip(shared_attention(x, y, vlm, expert, valid),
                        packaged_attention(x, y, vlm, expert, valid)):
    assert torch.allclose(mine[:8], theirs[:8], atol=1e-5)

blocks = [kind(12, 6, nn.Linear(12, 12)) for kind in (AdaptiveBlock, PackagedBlock)]
draw = {name: torch.randn_like(p) for name, p in blocks[0].state_dict().items()}
outs = [block(x[None], y[:1]) for block in blocks if not block.load_state_dict(draw)[0]]
assert torch.allclose(*outs, atol=1e-4)

torch.manual_seed(1)
mine = loss_of(model, batch, text=0, alpha=1, stop=True)
torch.manual_seed(1)
theirs = model.flow_losses(model.prefix(batch), batch.actions, batch.action_mask, 8, insulate=True)
assert torch.allclose(mine, theirs.sum() / batch.action_mask.sum() / 8)
print("attention, adaptive norms, sampling and insulation agree with pi05lite.model")

# %% [markdown]
# Next to read: `pi05lite/model/expert.py`, 106 lines; then `Pi05.flow_losses` and `Pi05.sample`, 25 lines each.
#
# ## 6 · With and without, on real episodes
# First a VLM that can speak: a short pre-training on captions, subtasks and action tokens, no expert involved.
# Then three ways to add a new expert to **the same** VLM, with the same batches:
#
# | | text loss | flow loss | way back to the VLM |
# |---|---|---|---|
# | flow alone | no | yes | open (how openpi fine-tunes) |
# | both | yes | $\alpha = 10$ | open (pi0.5) |
# | both, insulated | yes | $\alpha = 1$ | stopped |
#
# All are measured on what none has trained on: words (captions of unseen pictures, where they are here; subtasks
# otherwise), action tokens and flow (unseen episodes), with the same noise for all. The flow loss is mostly about
# removing noise, which needs no eyes. So there is a fourth measure, the **first guess**: one step from pure noise
# says the mean action (chapter 06), and its squared error shows how much of the motion the expert reads off the VLM.

# %%
g = torch.Generator().manual_seed(0)
unseen = setup.held_out[name]
some = [unseen[i] for i in torch.randint(len(unseen), (48,), generator=g).tolist()]
acts = setup.processor.collate(some)
captions = next((s for s in setup.mixture.sources if s.name == "droid_captions"), None)
if captions:
    spoken = [captions[i] for i in range(len(captions) - 64, len(captions))]
    captions.rows = captions.rows[:-64]  # no longer in the mixture
else:
    high = setup.high(name)
    spoken = [high[i] for i in torch.randint(len(high), (64,), generator=g).tolist()]
words = setup.processor.collate(spoken)
noise = torch.randn(4 * 48, c.horizon, c.action_size, generator=g) * setup.processor.size_mask(name)
tau = flow.sample_tau(4 * 48, c, g)
print(f"{'captions' if captions else 'subtasks'}: {spoken[0].answer!r}, {spoken[1].answer!r}, ...")
mean = (acts.actions * acts.action_mask).sum((0, 1)) / acts.action_mask.sum((0, 1)).clamp(min=1)
spread = ((acts.actions - mean).square() * acts.action_mask).sum() / acts.action_mask.sum()
print(f"a first guess that knows the mean action alone: {spread:.3f}")

# %%
@torch.no_grad()
def measure(model):
    """Held-out losses."""
    model.eval()
    prefix, there = model.prefix(acts), acts.action_mask
    flow = model.flow_losses(prefix, acts.actions, there, 4, noise=noise, tau=tau)
    guess = noise + model.velocity(prefix.repeat(4), noise, 0 * tau)  # one step from pure noise
    guess = guess.unflatten(0, (-1, 4)).mean(1)
    found = {"words": model.token_losses(model.prefix(words), words)[0].mean(),
             "action tokens": model.token_losses(prefix, acts)[0].mean(),
             "flow": flow.sum() / there.sum() / 4,
             "first guess": ((guess - acts.actions).square() * there).sum() / there.sum()}
    model.train()
    return {name: float(x) for name, x in found.items()}


# %%
def train(model, steps, mixture, first=0, every=40, rate=5e-3, **arm):
    """Train in place on a mixture from batch `first` on; [(step, held-out losses)]."""
    torch.manual_seed(SEED)
    optimizer = torch.optim.AdamW(model.parameters(), rate, (0.9, 0.95), weight_decay=0.0, fused=True)
    law = lambda n: min((n + 1) / 20, 1 - 0.9 * n / steps)  # warm up, then fall to a tenth
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, law)
    found = [(0, measure(model))]
    for n in range(steps):
        numbers = range(16 * (first + n), 16 * (first + n + 1))
        optimizer.zero_grad()
        loss_of(model, setup.processor.collate([mixture[i] for i in numbers]), **arm).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if (n + 1) % every == 0 or n + 1 == steps:
            found.append((n + 1, measure(model)))
    return found


def show(step, losses):
    """One line."""
    print(f"{step:>16}", "  ".join(f"{kind} {x:.3f}" for kind, x in losses.items()))


# %%
SEED, PRE, POST = 0, min(240, STEPS), min(160, STEPS)
torch.manual_seed(SEED)
speaker = Pi05(c)
found = train(speaker, PRE, setup.mixture, every=80, text=1, alpha=0, stop=False)
for point in found:
    show(*point)

# %% [markdown]
# (The flow has not moved: the expert slept.) **Predict**, before you run the next cell: which of the three speaks
# worst in the end, and which has the lowest flow loss?

# %%
def with_new_expert(speaker, **arm):
    """A copy of the speaker with a new expert, trained one way, and what was measured meanwhile."""
    model = copy.deepcopy(speaker)
    torch.manual_seed(SEED)
    model.new_expert()
    return model, train(model, POST, setup.mixture, first=PRE, **arm)


trained = {"flow alone": with_new_expert(speaker, text=0, alpha=1, stop=False)}

# %%
trained["both"] = with_new_expert(speaker, text=1, alpha=10, stop=False)

# %%
trained["both, insulated"] = with_new_expert(speaker, text=1, alpha=1, stop=True)

# %%
from plotly.subplots import make_subplots


COLOR = dict(zip(["flow alone", "both", "both, insulated", "frozen"], pictures.COLORS))


def curves(trained):
    """Held-out losses of each way, over the steps."""
    kinds = list(found[0][1])
    figure = make_subplots(2, 2, subplot_titles=kinds, horizontal_spacing=0.08, vertical_spacing=0.16)
    for label, (_, points) in trained.items():
        for n, kind in enumerate(kinds):
            figure.add_scatter(x=[step for step, _ in points], y=[x[kind] for _, x in points],
                               name=label, legendgroup=label, showlegend=n == 0, row=n // 2 + 1,
                               col=n % 2 + 1, line=dict(color=COLOR[label]), mode="lines+markers")
    figure.update_xaxes(zeroline=False)
    figure.update_yaxes(type="log", tickvals=[0.1, 0.2, 0.3, 0.5, 1, 2], row=2)
    figure.update_xaxes(title="step", row=2)
    return figure.update_layout(**pictures.LAYOUT, height=560, legend=pictures.NAMES_ABOVE,
                                title_text="held-out losses")


curves(trained)

# %%
show("before", trained["both"][1][0][1])
for label, (_, points) in trained.items():
    show(label, points[-1][1])

# %% [markdown]
# On cr5 with captions, 240 and 160 steps, three seeds (mean, lowest and highest). The mean action alone would make the
# first guess 0.202:
#
# | | words | action tokens | flow | first guess |
# |---|---|---|---|---|
# | before | 2.98 [2.98, 2.99] | 5.65 [5.63, 5.67] | | |
# | flow alone | **3.62** [3.58, 3.70] | **6.79** [6.48, 7.24] | 0.243 [0.240, 0.245] | 0.108 [0.107, 0.110] |
# | both | 2.78 [2.78, 2.80] | 5.48 [5.47, 5.48] | 0.238 [0.236, 0.241] | 0.107 [0.106, 0.109] |
# | both, insulated | 2.76 [2.74, 2.79] | 5.45 [5.44, 5.46] | 0.247 [0.241, 0.254] | 0.112 [0.109, 0.117] |
#
# - **Flow alone forgets.** It trains the same weights that spoke, and nothing asks them to speak any more.
# - **The text loss is most of the cure.** With it, words go on improving, stop or no stop. With the stop they are a
#   little better in each of the three seeds (by 0.01 to 0.04).
# - **Insulation costs little here**: the flow loss is 2 to 5 % higher, and the expert reads nearly as much of the
#   motion, although no flow gradient ever told the VLM what to write down for it. The action tokens did.
# - Not to be read off: that insulation hardly pays. In its paper the VLM has learned from the web what a minute cannot
#   teach it again, and there the insulated model acts as well, follows language better, and trains in fewer steps. A
#   VLM of 0.7 M parameters that has read 3,840 examples has little to lose.
#
# ## 7 · Look inside
# What did the time learn to do? The size of each gate of the insulated expert, from noise to action:

# %%
model = trained["both, insulated"][0].eval()
expert, moments = model.expert, torch.linspace(0, 1, 101)
with torch.no_grad():
    waves = flow.time_embedding(moments, c.expert.width)
    _, condition = expert.time(torch.zeros(101, 1, c.expert.width), waves)
    gates = [gate.abs().mean((1, 2)) for _, _, gate in expert.transformer.modulation(condition)]
labels = [f"{kind} {n}" for n in range(1, c.expert.depth + 1) for kind in ("attention", "feed-forward")]
pictures.episode_figure(moments.numpy(), torch.stack(gates[:-1], 1).numpy(), labels,
                        "how far each gate is open").update_xaxes(title="flow time (0 noise, 1 action)")

# %% [markdown]
# In our run all are wide at the noisy end, where the chunk must be found, and a third to a half narrower around 0.8,
# where little is left to do. (The ripple is the fast waves of the time; 160 steps have not smoothed it. The last bit
# before 1 is hardly ever trained.)
#
# And where do the chunk's steps look? Attention of the unseen moments, summed over pictures, words and the chunk
# itself:

# %%
def reading(model, moment):
    """The attention of the flow tokens: layer -> {block: (mean, 5 %, 95 % of the examples)}."""
    record, rows, ends = [], len(acts), torch.tensor([0.05, 0.95])
    with torch.no_grad():
        prefix = model.prefix(acts)
        model.velocity(prefix, noise[:rows], torch.full((rows,), moment), record)
    end = prefix.hidden.shape[1]
    seen = end - acts.tokens.shape[1]
    spans = {"pictures": slice(0, seen), "words and state": slice(seen, end),
             "the chunk itself": slice(end, None)}
    table = {}
    for n, notes in enumerate(record, start=1):
        share = {block: notes["attention"][..., span].sum(-1).mean((1, 2))
                 for block, span in spans.items()}
        table[f"layer {n}, time {moment}"] = {
            block: (x.mean().item(), *x.quantile(ends).tolist()) for block, x in share.items()}
    return table


pictures.bars(reading(model, 0.0) | reading(model, 0.9), "what the steps of a chunk read",
              "share of attention")

# %% [markdown]
# The chunk competes with the prefix. From pure noise it reads mostly words and state (56 to 77 %): there is nothing to
# learn from its own tokens yet. Near the action it reads more of itself (29 to 44 %). The pictures get least: this small
# tower makes only four tokens of one, and the state in the prompt says where the arm is. (In the real model 768 of 968
# prefix tokens are picture patches.) The thin lines span the middle 90 % of the moments.
#
# One unseen moment, four noises. Drag the slider:

# %%
import numpy as np

from pi05lite.trace import Trace

robot, example = setup.train[name].robot, unseen.example(0, unseen.dataset.episodes[0].length // 2)
size = robot.action_size
torch.manual_seed(0)
with torch.no_grad():
    seen = model.prefix(setup.processor.collate([example]), hidden=False).repeat(4)
way = torch.stack(model.sample(seen, 10, size_mask=setup.processor.size_mask(name)))[..., :size]
trace = Trace(tau=np.linspace(0, 1, 11), path=way.numpy(), labels=None, kinds=None,
              names=unseen.dataset.features["action"]["names"], prefix_attention=None,
              seconds=np.arange(c.horizon) / robot.fps, flow_attention=None,
              truth=setup.processor.normal_actions(example))
pictures.denoising_figure(trace, "four noises, one prefix")

# %% [markdown]
# On cr5 all four samples agree on the gripper, and nearly on joint 4; elsewhere they still differ, after so short a
# training. Chapter 00 trains for six minutes.
#
# ## 8 · Try a change
# Our speaker had met this robot: its pre-training held action tokens. PaliGemma, from which pi0.5 starts, had not.
# So change one thing, the speaker: pre-train it on pictures with words alone, then add the expert as before, with
# the stop and without, and with the VLM frozen (the stop, and no text loss). **Predict:** whose flow is worst?

# %%
from pi05lite.data.mixture import Mixture

told = [s for s in setup.mixture.sources if s.name in ("droid_captions", "playing_cards")]
told = Mixture(told or setup.mixture.sources[1:], seed=SEED)  # without those: subtasks
torch.manual_seed(SEED)
reader = Pi05(c)
found = train(reader, PRE, told, every=80, text=1, alpha=0, stop=False)
tried = {"both": with_new_expert(reader, text=1, alpha=10, stop=False)}

# %%
tried["both, insulated"] = with_new_expert(reader, text=1, alpha=1, stop=True)
tried["frozen"] = with_new_expert(reader, text=0, alpha=1, stop=True)
curves(tried)

# %%
show("before", tried["both"][1][0][1])
for label, (_, points) in tried.items():
    show(label, points[-1][1])

# %% [markdown]
# Three seeds again:
#
# | | words | action tokens | flow | first guess |
# |---|---|---|---|---|
# | before | 2.61 [2.60, 2.62] | 9.7 [8.7, 11.0] | | |
# | both | 2.64 [2.62, 2.68] | 5.74 [5.70, 5.77] | **0.242** [0.236, 0.246] | **0.109** [0.106, 0.115] |
# | both, insulated | 2.62 [2.59, 2.65] | 5.72 [5.68, 5.76] | 0.300 [0.291, 0.304] | 0.219 [0.212, 0.231] |
# | frozen | 2.61 [2.60, 2.62] | 9.7 [8.7, 11.0] | 0.281 [0.255, 0.299] | 0.188 [0.125, 0.229] |
#
# A VLM that never saw a robot writes down little of what motion needs, and behind a closed door the expert cannot ask
# for it: its first guess is no better than the mean action. (One seed of the frozen VLM is an exception; when an expert
# finds the state in the prompt is partly luck.) Insulated, it is as bad *so far*: its VLM learns what motion needs from
# action tokens alone, which takes longer than asking. In a run of 480 steps (one seed) the insulated expert got there
# between step 160 and 240, and ended at 0.110 where the open way had 0.106. So knowledge insulation is a recipe of two
# halves, the stop **and** the action tokens, and pi0.5 pre-trains on tokens before the expert joins (chapter 09).

# %% [markdown] assign=true prose="frozen" points=3
# ### Question · In words (5 minutes)
# The colleague of section 8 starts from a VLM that was trained on the web and never saw a robot. He stops the
# gradient at the keys and values and drops the text and action-token losses, "since the stop protects the VLM
# anyway". What is still trained? Why can the expert fail although its own loss is trained as ever? Which loss
# should he keep, and what does it give to the expert, although no gradient runs between them?
#
# ### BEGIN MARK SCHEME
# - 1 point: only the expert is trained; with the stop, text and action-token losses were all that trained the VLM, so
#   it is frozen.
# - 1 point: the expert can only read what the VLM's keys and values hold, and a VLM of the web was never asked for
#   what motion needs (where the gripper is, contact, this robot's state); the paper's frozen backbone fails.
# - 1 point: keep the loss on discrete action tokens (and the words, so that they are not forgotten): it makes the VLM
#   represent what actions depend on, and the expert reads those keys and values: it gains by what it reads, not by
#   gradient.
# ### END MARK SCHEME

# %% [markdown]
# ## What you have seen
# - The expert has weights of its own, and one attention with the VLM: its queries over [VLM keys; own keys], layer
#   by layer. Widths may differ; heads, head size and depth may not.
# - The flow time sets scale, shift and gate of every norm. All start at 0, so a new expert is the identity.
# - Nothing in the prefix depends on the chunk: it runs once, its cache is read ten times and never extended.
# - Insulation cuts one way back, at keys and values. The loss stays the same number. It protects words, and it leaves
#   the teaching of the VLM to the text and action-token losses.
#
# **Common confusions.** This is no cross-attention: one softmax shares out 1 over prefix and chunk. The expert reads
# every layer, not the last. Insulation is not freezing: the text loss goes on training the VLM. Detaching the hidden
# states cuts the wrong way. pi0.5 as published trained without the stop ($\alpha = 10$); insulation came after it. The
# papers print 18 heads; the model has 8 heads in 18 layers.
#
# **Ask yourself.** Why may the chunk's steps see each other in both directions? What would a gate of 1 at the start do
# to the first hundred steps? With insulation, what does $\alpha$ still change? (AdamW divides each gradient by its
# usual size.)
#
# Next: chapter 08 feeds the VLM with many sources, chapter 09 says when the expert should join.
#
# **To read.** pi0.5, arXiv 2504.16054, section IV and appendix E. Driess et al. 2025, arXiv 2505.23705 (knowledge
# insulation). Black et al. 2024, arXiv 2410.24164 (pi0). Peebles and Xie 2023, arXiv 2212.09748 (DiT: adaptive norms
# that start closed). Liang et al. 2024, arXiv 2411.04996 (mixture of transformers).
