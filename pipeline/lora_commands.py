"""`dailies lora`: what a trained LoRA's file says of itself, and several as one."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.commandline import people
from pipeline.printing import line, table
from pipeline.training import export

app = typer.Typer(help="Look at trained LoRAs, and merge several into one.", no_args_is_help=True)

FileArgument = Annotated[Path, typer.Argument(help="A LoRA that Dailies trained or merged (.safetensors).")]


@app.command()
def show(file: FileArgument) -> None:
    """Say what a LoRA was trained on and how much it changes each block of its model."""
    from pipeline.training.merging import by_block, rank_of

    with people():
        state, about = export.load(file)
    for name, value in about.model_dump(exclude={"config", "merged"}, exclude_none=True).items():
        if value:
            line(f"{name:<10}{value}")
    line(f"{'rank':<10}{rank_of(state)}")
    for each in about.merged:
        line(f"{'merged of':<10}{each}")
    blocks = by_block(state)
    layers = sorted({layer for each in blocks for layer in each.layers})
    rows = [
        (each.block or "-", f"{each.norm:.3g}", *(f"{each.layers.get(layer, 0):.3g}" for layer in layers))
        for each in blocks
    ]
    table(("block", "norm", *layers), rows)


@app.command()
def merge(
    files: Annotated[list[Path], typer.Argument(help="LoRAs of one model, two or more.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write; it must not be there yet.")],
    weights: Annotated[str, typer.Option(help="One for each, in their order: 0.7,0.5. All 1, if not given.")] = "",
    rank: Annotated[int | None, typer.Option(min=1, help="At most this rank; exactly the sum, if not given.")] = None,
) -> None:
    """Add LoRAs of one model into one file, each with its weight."""
    from pipeline.training.merging import Lora, rank_of
    from pipeline.training.merging import merge as merged_of

    with people():
        if output.exists():
            raise ValueError(f"{output} is there already: name another file")
        shares = _numbers(weights) if weights else [1.0] * len(files)
        loras = [Lora(file.name, *export.load(file)) for file in files]
        made = merged_of(loras, shares, rank)
        aside = output.with_name(f".{output.name}.part")
        export.save(aside, made.state, made.about)
        aside.rename(output)
    line(f"wrote {output}: rank {rank_of(made.state)}, {made.kept:.1%} of the sum")


def _numbers(text: str) -> list[float]:
    try:
        return [float(each) for each in text.split(",")]
    except ValueError:
        raise ValueError(f"--weights {text!r}: numbers with commas between them, e.g. 0.7,0.5") from None
