"""The model that leaves the pipeline: a folder that is whole in itself, what reads it, and answers to new rows.

Used from outside: `export.write`, which makes the folder; `model.load` and `Model` (`umemma.load`); `Reader` and `Row` of
`reader`, `Answer` of `answer`, the form of its `ID` in `identity`; `retest.predictions`; and the commands of
`predict`, `onnx`, `verify`, `signature` and `http.command`.
Nothing here knows of DVC, stages or params.yaml.
"""
