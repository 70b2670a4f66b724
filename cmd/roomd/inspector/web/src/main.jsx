import { render } from "preact";
import { App } from "./app.jsx";
import { Boundary } from "./boundary.jsx";
import "uplot/dist/uPlot.min.css";
import "./style.css";

render(<Boundary whole><App /></Boundary>, document.getElementById("app"));
