"""`reefline recommend`: the data and the machine decide the template and the training settings, by named rules."""
